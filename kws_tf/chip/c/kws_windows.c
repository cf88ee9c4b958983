/* Many windows of one stream at once, from Python. Not exported.
 *
 * As kws_spotter_classify of each window, bit for bit, in a fraction of the time: windows are taken
 * 16 at a time, each weight is read once for all of them, and what a row gives the gates is
 * computed once for all windows that it is in. Products are added up as floats, which is exact:
 * 512 * 127 * 128 is below 2^24. */
#include "kws_lstm.inc" /* kws_lstm.c, for its functions of one unit */

#include "kws_classifier.h"
#include "kws_lstm_data.h"
#include "kws_spotter.h"

/* A compiler that can choose between instruction sets when the code is loaded, is told which. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_THIS_MACHINE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_THIS_MACHINE
#endif

enum { LANES = 16, GATES = 4, COLUMNS = KWS_UNITS > KWS_FEATURES ? KWS_UNITS : KWS_FEATURES };
typedef float lanes_t __attribute__((vector_size(4 * LANES), aligned(4)));

size_t kws_windows_memory(size_t rows);
int kws_run_windows(const int8_t *rows, size_t count, size_t hops, void *memory, int8_t *outputs);

/* All that is needed of one of a unit's two vectors: of the inputs or of the hidden state. */
typedef struct {
  float weights[COLUMNS][GATES];
  int32_t biases[GATES];
} rows_t;

typedef struct {
  rows_t from_input[KWS_UNITS], from_hidden[KWS_UNITS];
  float input[KWS_FEATURES][LANES];
  float hidden[2][KWS_UNITS][LANES];
  int32_t cell[KWS_UNITS][LANES];
  int16_t gates[][KWS_UNITS][GATES]; /* of each row of the stream: from the input, Q3.12 */
} memory_t;

size_t kws_windows_memory(size_t rows) {
  return sizeof(memory_t) + rows * sizeof(int16_t[KWS_UNITS][GATES]);
}

/* The lower and the upper of two weights that share a halfword. */
static float first_of(int16_t pair) { return (float)(int8_t)(pair & 0xFF); }
static float second_of(int16_t pair) { return (float)((pair - (int8_t)(pair & 0xFF)) / 256); }

/* Takes one vector's rows of a unit out of the packed weights; returns what follows them. */
static const int16_t *unpack(const int16_t *packed, uint32_t columns, rows_t *rows) {
  const int32_t *start = (const int32_t *)(const void *)packed;
  const sums_t biases = apart(start[0], start[1], start[2], start[3]);
  rows->biases[0] = biases.i;
  rows->biases[1] = biases.f;
  rows->biases[2] = biases.c;
  rows->biases[3] = biases.o;
  const int16_t *w = packed + 8;
  for (uint32_t k = 0; k < KWS_LSTM_COLUMNS(columns); ++k) {
    const int16_t *four = w + k / 4 * 8 + k % 4;
    if (k >= columns) continue; /* zeros */
    rows->weights[k][0] = first_of(four[0]);
    rows->weights[k][1] = second_of(four[0]);
    rows->weights[k][2] = first_of(four[4]);
    rows->weights[k][3] = second_of(four[4]);
  }
  return w + 2 * KWS_LSTM_COLUMNS(columns);
}

/* The four sums of a unit for each lane. */
static inline void lane_sums(const rows_t *rows, float (*values)[LANES], uint32_t columns,
                             int32_t sums[GATES][LANES]) {
  lanes_t i = {0}, f = {0}, c = {0}, o = {0};
  for (uint32_t k = 0; k < columns; ++k) {
    const lanes_t x = *(const lanes_t *)(const void *)values[k];
    const float *w = rows->weights[k];
    i += w[0] * x;
    f += w[1] * x;
    c += w[2] * x;
    o += w[3] * x;
  }
  for (int n = 0; n < LANES; ++n) {
    sums[0][n] = (int32_t)i[n] + rows->biases[0];
    sums[1][n] = (int32_t)f[n] + rows->biases[1];
    sums[2][n] = (int32_t)c[n] + rows->biases[2];
    sums[3][n] = (int32_t)o[n] + rows->biases[3];
  }
}

/* What the rows give the gates, 16 rows at a time. */
FOR_THIS_MACHINE
static void feed_inputs(memory_t *m, const int8_t *rows, size_t count) {
  int32_t sums[GATES][LANES];
  for (size_t first = 0; first < count; first += LANES) {
    const size_t some = count - first < LANES ? count - first : LANES;
    for (size_t n = 0; n < some; ++n) {
      for (int k = 0; k < KWS_FEATURES; ++k) {
        m->input[k][n] = rows[(first + n) * KWS_FEATURES + (size_t)k];
      }
    }
    for (int unit = 0; unit < KWS_UNITS; ++unit) {
      lane_sums(&m->from_input[unit], m->input, KWS_FEATURES, sums);
      for (int gate = 0; gate < GATES; ++gate) {
        for (size_t n = 0; n < some; ++n) {
          const int32_t scaled = int16_times(sums[gate][n], kws_lstm.factors[gate]);
          m->gates[first + n][unit][gate] = (int16_t)scaled;
        }
      }
    }
  }
}

/* One unit of one lane, as kws_lstm_step; returns its hidden state. */
static inline int32_t unit_step(const int16_t *x, const int32_t *h, int32_t *cell) {
  const int32_t written_right = 29 + kws_lstm.cell_power, written_half = 1 << (written_right - 1);
  const int32_t i = sigmoid(int16_of(x[0] + int16_times(h[0], kws_lstm.factors[0] + 1)));
  const int32_t f = sigmoid(int16_of(x[1] + int16_times(h[1], kws_lstm.factors[1] + 1)));
  const int32_t c =
      tanh_of_tripled(3 * int16_of(x[2] + int16_times(h[2], kws_lstm.factors[2] + 1)));
  const int32_t o = sigmoid(int16_of(x[3] + int16_times(h[3], kws_lstm.factors[3] + 1)));
  const int32_t written = divided((i * c + 1) >> 1, written_half, written_right);
  const int32_t kept = divided((f * *cell + 1) >> 1, 1 << 13, 14);
  *cell = clamped(int16_of(int16_of(kept) + int16_of(written)), -kws_lstm.cell_limit,
                  kws_lstm.cell_limit);
  const int32_t output = int16_times(o * tanh_of_tripled(tripled_q3_12(*cell, kws_lstm.cell_power)),
                                     &kws_lstm.hidden_factor);
  return int8_of(output + kws_lstm.hidden_zero_point);
}

/* Runs LANES windows, of which lane n begins at row starts[n]. */
FOR_THIS_MACHINE
static void run_lanes(memory_t *m, const size_t *starts) {
  int32_t sums[GATES][LANES];
  for (int unit = 0; unit < KWS_UNITS; ++unit) {
    for (int n = 0; n < LANES; ++n) {
      m->hidden[0][unit][n] = (float)kws_lstm.hidden_zero_point;
      m->cell[unit][n] = 0;
    }
  }
  for (size_t frame = 0; frame < KWS_FRAMES; ++frame) {
    float(*now)[LANES] = m->hidden[frame % 2], (*next)[LANES] = m->hidden[1 - frame % 2];
    for (int unit = 0; unit < KWS_UNITS; ++unit) {
      lane_sums(&m->from_hidden[unit], now, KWS_UNITS, sums);
      for (int n = 0; n < LANES; ++n) {
        const int32_t h[GATES] = {sums[0][n], sums[1][n], sums[2][n], sums[3][n]};
        const int16_t *x = m->gates[starts[n] + frame][unit];
        next[unit][n] = (float)unit_step(x, h, &m->cell[unit][n]);
      }
    }
  }
}

/* count windows, the first at rows, each hops rows after the one before; outputs are
 * [count][KWS_CLASSES], memory is of kws_windows_memory(all their rows) bytes. */
int kws_run_windows(const int8_t *rows, size_t count, size_t hops, void *memory, int8_t *outputs) {
  memory_t *m = memory;
  if (kws_lstm.inputs != KWS_FEATURES || kws_lstm.units != KWS_UNITS) return (int)KWS_MODEL;
  if (count == 0) return (int)KWS_OK;
  const int16_t *packed = kws_lstm.weights;
  for (int unit = 0; unit < KWS_UNITS; ++unit) {
    packed = unpack(packed, KWS_FEATURES, &m->from_input[unit]);
    packed = unpack(packed, KWS_UNITS, &m->from_hidden[unit]);
  }
  feed_inputs(m, rows, (count - 1) * hops + KWS_FRAMES);
  for (size_t first = 0; first < count; first += LANES) {
    size_t starts[LANES];
    for (size_t n = 0; n < LANES; ++n) {
      starts[n] = (first + n < count ? first + n : first) * hops;
    }
    run_lanes(m, starts);
    for (size_t n = 0; n < LANES && first + n < count; ++n) {
      int16_t hidden[KWS_UNITS];
      int8_t logits[KWS_CLASSES];
      for (int unit = 0; unit < KWS_UNITS; ++unit) {
        hidden[unit] = (int16_t)m->hidden[KWS_FRAMES % 2][unit][n];
      }
      kws_classifier_logits(&kws_classifier, hidden, logits);
      kws_classifier_softmax(&kws_classifier, logits, outputs + (first + n) * KWS_CLASSES);
    }
  }
  return (int)KWS_OK;
}
