/* One step of an integer LSTM, as TensorFlow Lite Micro's reference kernel computes it, bit for
 * bit: int8 input, weights and hidden state, 16-bit gates and cell.
 *
 * C99, no heap, no global state: the weights are constant, the caller owns the state. The inner
 * loop comes in three kinds, chosen when it is compiled: plain C, the DSP extension (Armv7E-M and
 * Armv8-M: Cortex-M4, M7, M33) and Helium (Armv8.1-M: Cortex-M55). All give the same bits.
 *
 * Gates are in the order i, f, c, o. Two rows of weights share a halfword, 256 * second + first,
 * so that one multiplication with it gives 256 * s2 + s1, and one with its sign-extended low byte
 * gives s1. Weights are -127 to 127, so it fits.
 *
 * The weights of a unit follow one another, first those of the input, then those of the hidden
 * state. Each begin with four int32 (as halfwords, low first) that the sums start from,
 * 256 * f + i, i, 256 * o + c, c, the biases with zero points folded in; then for each four columns
 * four halfwords of the rows i and f and four of the rows c and o. After the last unit come 16
 * halfwords more, of any value. */
#ifndef KWS_LSTM_H_
#define KWS_LSTM_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Columns of a row of weights, padded with zeros, and elements of a vector, likewise: Helium takes
 * 16 at a time and multiplies what it reads beyond a row with zeros. */
#define KWS_LSTM_COLUMNS(n) (((n) + 7u) / 8u * 8u)
#define KWS_LSTM_VECTOR(n) (((n) + 15u) / 16u * 16u)

/* Most units and inputs: sums of two rows in one int32 must not overflow. */
#define KWS_LSTM_LARGEST 512

/* A real factor: multiplier * 2^(left - 31 - right), rounded after the multiplication (halves up)
 * and again after the shift to the right (halves away from zero). */
typedef struct {
  int32_t multiplier; /* 2^30 to 2^31 - 1 */
  int32_t left;       /* one more than the shift to the left */
  int32_t half;       /* 2^(right - 1), 0 where right is 0 */
  int32_t right;
} kws_factor_t;

typedef struct {
  uint16_t inputs;
  uint16_t units;
  const int16_t *weights; /* see above; aligned to 4 bytes */
  kws_factor_t factors[4][2]; /* of a gate: of the input's product, of the hidden state's; to Q3.12 */
  kws_factor_t hidden_factor; /* from Q0.30 */
  int32_t hidden_zero_point;
  int32_t cell_power; /* the cell's scale is 2^cell_power, -15 to -9 */
  int32_t cell_limit; /* largest magnitude of the cell */
} kws_lstm_t;

/* Lies in memory of the caller's. */
typedef struct {
  int16_t *hidden; /* [KWS_LSTM_VECTOR(units)], zeros at the end; the values are int8 */
  int16_t *next;   /* likewise */
  int16_t *input;  /* [KWS_LSTM_VECTOR(inputs)] */
  int16_t *cell;   /* [units] */
} kws_lstm_state_t;

/* Halfwords of memory that a state takes. */
#define KWS_LSTM_STATE_SIZE(inputs, units) \
  (3u * KWS_LSTM_VECTOR(units) + KWS_LSTM_VECTOR(inputs))

/* Lays the state into memory (aligned to 4 bytes) and zeroes it. Returns 0, or -1 where the sizes
 * are beyond KWS_LSTM_LARGEST. */
int kws_lstm_init(const kws_lstm_t *lstm, kws_lstm_state_t *state, int16_t *memory);

/* Zeroes the state. */
void kws_lstm_reset(const kws_lstm_t *lstm, kws_lstm_state_t *state);

/* Computes one step; the new hidden state is in state->hidden. */
void kws_lstm_step(const kws_lstm_t *lstm, kws_lstm_state_t *state, const int8_t *input);

#ifdef __cplusplus
}
#endif

#endif /* KWS_LSTM_H_ */
