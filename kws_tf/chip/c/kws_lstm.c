#include "kws_lstm.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1) && !defined(KWS_LSTM_PLAIN)
#define KWS_LSTM_HELIUM 1
#include <arm_mve.h>
#elif defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && !defined(KWS_LSTM_PLAIN)
#define KWS_LSTM_DSP 1
#elif defined(__SSE2__) && !defined(KWS_LSTM_PLAIN)
#define KWS_LSTM_SSE2 1
#include <emmintrin.h>
#endif

/* Sums of the four gates of one unit. */
typedef struct {
  int32_t i, f, c, o;
} sums_t;

/* sigmoid(k / 24) in Q0.16, each raised by half of what the chord to the next lies under the curve:
 * the table of TFLite Micro's LSTM. */
static const uint16_t sigmoid_samples[256] = {
    32768, 33451, 34133, 34813, 35493, 36169, 36843, 37513, 38180, 38841, 39498, 40149, 40794,
    41432, 42064, 42688, 43304, 43912, 44511, 45102, 45683, 46255, 46817, 47369, 47911, 48443,
    48964, 49475, 49975, 50464, 50942, 51409, 51865, 52311, 52745, 53169, 53581, 53983, 54374,
    54755, 55125, 55485, 55834, 56174, 56503, 56823, 57133, 57433, 57724, 58007, 58280, 58544,
    58800, 59048, 59288, 59519, 59743, 59959, 60168, 60370, 60565, 60753, 60935, 61110, 61279,
    61441, 61599, 61750, 61896, 62036, 62172, 62302, 62428, 62549, 62666, 62778, 62886, 62990,
    63090, 63186, 63279, 63368, 63454, 63536, 63615, 63691, 63765, 63835, 63903, 63968, 64030,
    64090, 64148, 64204, 64257, 64308, 64357, 64405, 64450, 64494, 64536, 64576, 64614, 64652,
    64687, 64721, 64754, 64786, 64816, 64845, 64873, 64900, 64926, 64950, 64974, 64997, 65019,
    65039, 65060, 65079, 65097, 65115, 65132, 65149, 65164, 65179, 65194, 65208, 65221, 65234,
    65246, 65258, 65269, 65280, 65291, 65301, 65310, 65319, 65328, 65337, 65345, 65352, 65360,
    65367, 65374, 65381, 65387, 65393, 65399, 65404, 65410, 65415, 65420, 65425, 65429, 65433,
    65438, 65442, 65445, 65449, 65453, 65456, 65459, 65462, 65465, 65468, 65471, 65474, 65476,
    65479, 65481, 65483, 65485, 65488, 65489, 65491, 65493, 65495, 65497, 65498, 65500, 65501,
    65503, 65504, 65505, 65507, 65508, 65509, 65510, 65511, 65512, 65513, 65514, 65515, 65516,
    65517, 65517, 65518, 65519, 65520, 65520, 65521, 65522, 65522, 65523, 65523, 65524, 65524,
    65525, 65525, 65526, 65526, 65526, 65527, 65527, 65528, 65528, 65528, 65529, 65529, 65529,
    65529, 65530, 65530, 65530, 65530, 65531, 65531, 65531, 65531, 65531, 65532, 65532, 65532,
    65532, 65532, 65532, 65533, 65533, 65533, 65533, 65533, 65533, 65533, 65533, 65534, 65534,
    65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65535};

/* Takes the second sum of each pair out of 256 * second + first, which may have wrapped round. */
static inline sums_t apart(int32_t fi, int32_t i, int32_t oc, int32_t c) {
  const sums_t sums = {i, (int32_t)((uint32_t)fi - (uint32_t)i) >> 8, c,
                       (int32_t)((uint32_t)oc - (uint32_t)c) >> 8};
  return sums;
}

/* Multiplies the rows of a unit with values, columns of them, and moves the weights on. */
static inline sums_t four_sums(const int16_t **weights, const int16_t *values, uint32_t columns);

#if KWS_LSTM_HELIUM

static inline sums_t four_sums(const int16_t **weights, const int16_t *values, uint32_t columns) {
  const int32_t *start = (const int32_t *)(const void *)*weights;
  int32_t fi = start[0], i = start[1], oc = start[2], c = start[3];
  const int16_t *w = *weights + 8;
  *weights = w + 2 * columns;
  for (uint32_t k = 0; k < columns; k += 16, w += 32) {
    const uint32x4x2_t x = vld2q_u32((const uint32_t *)(const void *)(values + k));
    const uint32x4x4_t rows = vld4q_u32((const uint32_t *)(const void *)w);
    for (int n = 0; n < 2; ++n) {
      const int16x8_t four = vreinterpretq_s16_u32(x.val[n]);
      const int16x8_t a = vreinterpretq_s16_u32(rows.val[n]);
      const int16x8_t b = vreinterpretq_s16_u32(rows.val[2 + n]);
      fi = vmladavaq_s16(fi, a, four);
      i = vmladavaq_s16(i, vmovlbq_s8(vreinterpretq_s8_s16(a)), four);
      oc = vmladavaq_s16(oc, b, four);
      c = vmladavaq_s16(c, vmovlbq_s8(vreinterpretq_s8_s16(b)), four);
    }
  }
  return apart(fi, i, oc, c);
}

#elif KWS_LSTM_DSP

static inline sums_t four_sums(const int16_t **weights, const int16_t *values, uint32_t columns) {
  const int16_t *w = *weights;
  const int16_t *end = w + 8 + 2 * columns;
  int32_t fi, i, oc, c;
  uint32_t x0, x1;
  register uint32_t a0 __asm("r4");
  register uint32_t a1 __asm("r5");
  register uint32_t b0 __asm("r6");
  register uint32_t b1 __asm("r8");
#define FOUR_COLUMNS                   \
  "ldmia %[w]!, {r4, r5, r6, r8}\n"    \
  "ldrd %[x0], %[x1], [%[x]], #8\n"    \
  "smlad %[fi], r4, %[x0], %[fi]\n"  \
  "sxtb16 r4, r4\n"                    \
  "smlad %[oc], r6, %[x0], %[oc]\n"    \
  "sxtb16 r6, r6\n"                    \
  "smlad %[fi], r5, %[x1], %[fi]\n"  \
  "sxtb16 r5, r5\n"                    \
  "smlad %[oc], r8, %[x1], %[oc]\n"    \
  "sxtb16 r8, r8\n"                    \
  "smlad %[i], r4, %[x0], %[i]\n"      \
  "smlad %[c], r6, %[x0], %[c]\n"      \
  "smlad %[i], r5, %[x1], %[i]\n"      \
  "smlad %[c], r8, %[x1], %[c]\n"
  /* Eight columns of four rows: 32 multiply-accumulates in 30 instructions. */
  __asm volatile(
      "ldrd %[fi], %[i], [%[w]], #8\n"
      "ldrd %[oc], %[c], [%[w]], #8\n"
      "1:\n" FOUR_COLUMNS FOUR_COLUMNS
      "cmp %[w], %[end]\n"
      "bne 1b\n"
      : [w] "+&r"(w), [x] "+&r"(values), [fi] "=&r"(fi), [i] "=&r"(i), [oc] "=&r"(oc),
        [c] "=&r"(c), [x0] "=&r"(x0), [x1] "=&r"(x1), "=&r"(a0), "=&r"(b0), "=&r"(a1), "=&r"(b1)
      : [end] "r"(end)
      : "cc", "memory");
  *weights = w;
  return apart(fi, i, oc, c);
}

#elif KWS_LSTM_SSE2

static inline sums_t four_sums(const int16_t **weights, const int16_t *values, uint32_t columns) {
  const int16_t *w = *weights;
  const __m128i start = _mm_loadu_si128((const __m128i *)(const void *)w); /* f+i, i, o+c, c */
  __m128i both = _mm_setzero_si128(), first = _mm_setzero_si128();
  w += 8;
  for (uint32_t k = 0; k < columns; k += 4, w += 8) {
    const __m128i four = _mm_loadl_epi64((const __m128i *)(const void *)(values + k));
    const __m128i x = _mm_unpacklo_epi64(four, four);
    const __m128i rows = _mm_loadu_si128((const __m128i *)(const void *)w);
    const __m128i low = _mm_srai_epi16(_mm_slli_epi16(rows, 8), 8);
    both = _mm_add_epi32(both, _mm_madd_epi16(rows, x));
    first = _mm_add_epi32(first, _mm_madd_epi16(low, x));
  }
  *weights = w;
  /* Lanes are two sums of i and f, two of c and o. */
  both = _mm_add_epi32(both, _mm_shuffle_epi32(both, _MM_SHUFFLE(2, 3, 0, 1)));
  first = _mm_add_epi32(first, _mm_shuffle_epi32(first, _MM_SHUFFLE(2, 3, 0, 1)));
  const __m128i mixed = _mm_unpacklo_epi32(both, first), upper = _mm_unpackhi_epi32(both, first);
  const __m128i all = _mm_add_epi32(start, _mm_unpacklo_epi64(mixed, upper));
  int32_t sums[4];
  _mm_storeu_si128((__m128i *)(void *)sums, all);
  return apart(sums[0], sums[1], sums[2], sums[3]);
}

#else

static inline int32_t start_of(const int16_t *pair) {
  return (int32_t)((uint32_t)(uint16_t)pair[0] | (uint32_t)(uint16_t)pair[1] << 16);
}

static inline sums_t four_sums(const int16_t **weights, const int16_t *values, uint32_t columns) {
  const int16_t *w = *weights;
  uint32_t fi = (uint32_t)start_of(w), oc = (uint32_t)start_of(w + 4);
  int32_t i = start_of(w + 2), c = start_of(w + 6);
  w += 8;
  for (uint32_t k = 0; k < columns; k += 4, w += 8) {
    for (uint32_t n = 0; n < 4; ++n) {
      const int32_t x = values[k + n];
      fi += (uint32_t)(w[n] * x);
      i += (int8_t)w[n] * x;
      oc += (uint32_t)(w[4 + n] * x);
      c += (int8_t)w[4 + n] * x;
    }
  }
  *weights = w;
  return apart((int32_t)fi, i, (int32_t)oc, c);
}

#endif

/* a * b / 2^32, rounded to nearest, halves up. */
static inline int32_t high_product(int32_t a, int32_t b) {
#if KWS_LSTM_DSP || KWS_LSTM_HELIUM
  int32_t result;
  __asm("smmulr %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
  return result;
#else
  return (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
#endif
}

static inline int32_t clamped(int32_t x, int32_t low, int32_t high) {
  return x < low ? low : x > high ? high : x;
}

static inline int32_t int16_of(int32_t x) {
#if KWS_LSTM_DSP || KWS_LSTM_HELIUM
  int32_t result;
  __asm("ssat %0, #16, %1" : "=r"(result) : "r"(x));
  return result;
#else
  return clamped(x, INT16_MIN, INT16_MAX);
#endif
}

static inline int32_t int8_of(int32_t x) {
#if KWS_LSTM_DSP || KWS_LSTM_HELIUM
  int32_t result;
  __asm("ssat %0, #8, %1" : "=r"(result) : "r"(x));
  return result;
#else
  return clamped(x, INT8_MIN, INT8_MAX);
#endif
}

/* x / 2^right, halves away from zero. */
static inline int32_t divided(int32_t x, int32_t half, int32_t right) {
  return (x + (x >> 31) + half) >> right;
}

/* x times a factor, saturated to 16 bits. */
static inline int32_t int16_times(int32_t x, const kws_factor_t *factor) {
#if KWS_LSTM_DSP || KWS_LSTM_HELIUM
  uint32_t a, b;
  __asm(
      "ldrd %[a], %[b], [%[factor]]\n"
      "lsl %[x], %[x], %[b]\n"
      "smmulr %[x], %[x], %[a]\n"
      "ldrd %[a], %[b], [%[factor], #8]\n"
      "cbz %[b], 1f\n"
      "add %[x], %[x], %[x], asr #31\n"
      "add %[x], %[x], %[a]\n"
      "asr %[x], %[x], %[b]\n"
      "1: ssat %[x], #16, %[x]\n"
      : [x] "+&r"(x), [a] "=&l"(a), [b] "=&l"(b)
      : [factor] "r"(factor), "m"(*factor)
      : "cc");
  return x;
#else
  const int32_t product = high_product((int32_t)((uint32_t)x << factor->left), factor->multiplier);
  return int16_of(factor->right ? divided(product, factor->half, factor->right) : product);
#endif
}

/* A gate before its function, Q3.12. */
static inline int32_t gate_sum(int32_t from_input, int32_t from_hidden,
                               const kws_factor_t *factors) {
  return int16_of(int16_times(from_input, factors) + int16_times(from_hidden, factors + 1));
}

/* Linear in the table, from a magnitude whose upper bits are the index: Q0.(16 + bits). */
static inline int32_t interpolated(uint32_t magnitude, int bits, int32_t saturated) {
  const uint32_t index = magnitude >> bits;
  if (index >= 255) return saturated;
  const int32_t low = sigmoid_samples[index], high = sigmoid_samples[index + 1];
  return (low << bits) + (int32_t)(magnitude & ((1u << bits) - 1)) * (high - low);
}

/* Q3.12 to Q0.15. */
static inline int32_t sigmoid(int32_t x) {
  const int32_t tripled = 3 * x; /* its magnitude's index is at most 192: it never saturates */
  const uint32_t magnitude = (uint32_t)(tripled < 0 ? -tripled : tripled);
  const uint16_t *samples = sigmoid_samples + (magnitude >> 9);
  const int32_t y = (samples[0] << 9) + (int32_t)(magnitude & 511) * (samples[1] - samples[0]);
  return (tripled < 0 ? (1 << 25) - y + 511 : y + 512) >> 10;
}

/* Of three times a number in Q3.12, to Q0.15: 2 sigmoid(2 x) - 1. */
static inline int32_t tanh_of_tripled(int32_t x) {
  const int32_t y = interpolated((uint32_t)(x < 0 ? -x : x), 8, 0xFFFF << 8) - (1 << 23);
  return (x < 0 ? -y + 127 : y + 128) >> 8;
}

/* Three times a cell state, in Q3.12, halves up. */
static inline int32_t tripled_q3_12(int32_t cell, int32_t cell_power) {
  const int32_t shift = -12 - cell_power;
  const int32_t tripled = 3 * cell;
  if (shift > 0) return (tripled + (1 << (shift - 1))) >> shift;
  return tripled * (1 << -shift);
}

int kws_lstm_init(const kws_lstm_t *lstm, kws_lstm_state_t *state, int16_t *memory) {
  if (lstm->units > KWS_LSTM_LARGEST || lstm->inputs > KWS_LSTM_LARGEST) return -1;
  const uint32_t length = KWS_LSTM_VECTOR(lstm->units);
  state->hidden = memory;
  state->next = memory + length;
  state->cell = memory + 2 * length;
  state->input = memory + 3 * length;
  const uint32_t size = KWS_LSTM_STATE_SIZE(lstm->inputs, lstm->units);
  for (uint32_t k = 0; k < size; ++k) memory[k] = 0;
  kws_lstm_reset(lstm, state);
  return 0;
}

void kws_lstm_reset(const kws_lstm_t *lstm, kws_lstm_state_t *state) {
  for (uint32_t unit = 0; unit < lstm->units; ++unit) {
    state->hidden[unit] = (int16_t)lstm->hidden_zero_point;
    state->cell[unit] = 0;
  }
}

void kws_lstm_step(const kws_lstm_t *lstm, kws_lstm_state_t *state, const int8_t *input) {
  const uint32_t input_columns = KWS_LSTM_COLUMNS(lstm->inputs);
  const uint32_t hidden_columns = KWS_LSTM_COLUMNS(lstm->units);
  const int16_t *weights = lstm->weights;
  const int32_t written_right = 29 + lstm->cell_power, written_half = 1 << (written_right - 1);
  const int32_t cell_limit = lstm->cell_limit;
  int16_t *cell = state->cell, *next = state->next;

  for (uint32_t k = 0; k < lstm->inputs; ++k) state->input[k] = input[k];
  for (const int16_t *end = cell + lstm->units; cell != end; ++cell) {
    const sums_t x = four_sums(&weights, state->input, input_columns);
    const sums_t h = four_sums(&weights, state->hidden, hidden_columns);
    const int32_t i = sigmoid(gate_sum(x.i, h.i, lstm->factors[0]));
    const int32_t c = tanh_of_tripled(3 * gate_sum(x.c, h.c, lstm->factors[2]));
    /* A product with a multiplier of 2^30 is halved, halves up; then comes the shift. */
    const int32_t written = divided((i * c + 1) >> 1, written_half, written_right);
    const int32_t f = sigmoid(gate_sum(x.f, h.f, lstm->factors[1]));
    const int32_t kept = divided((f * *cell + 1) >> 1, 1 << 13, 14);
    const int32_t now = clamped(int16_of(int16_of(kept) + int16_of(written)), -cell_limit, cell_limit);
    *cell = (int16_t)now;
    const int32_t o = sigmoid(gate_sum(x.o, h.o, lstm->factors[3]));
    const int32_t output = int16_times(o * tanh_of_tripled(tripled_q3_12(now, lstm->cell_power)),
                                       &lstm->hidden_factor);
    *next++ = (int16_t)int8_of(output + lstm->hidden_zero_point);
  }
  next = state->next;
  state->next = state->hidden;
  state->hidden = next;
}
