#include "kws_classifier.h"

/* a * b / 2^31, rounded to nearest, halves up; -1 * -1 does not occur. */
static int32_t product(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* x / 2^right, halves away from zero; right is 1 or more. */
static int32_t divided(int32_t x, int32_t right) {
  return (int32_t)(((int64_t)x + (x >> 31) + ((int64_t)1 << (right - 1))) >> right);
}

static int32_t clamped(int32_t x, int32_t low, int32_t high) {
  return x < low ? low : x > high ? high : x;
}

void kws_classifier_logits(const kws_classifier_t *classifier, const int16_t *hidden,
                           int8_t *logits) {
  const int8_t *weights = classifier->weights;
  for (uint32_t class = 0; class < classifier->classes; ++class) {
    int32_t sum = classifier->biases[class];
    for (uint32_t unit = 0; unit < classifier->units; ++unit) sum += *weights++ * hidden[unit];
    const kws_factor_t *factor = &classifier->factors[class];
    int32_t scaled = product(sum * (1 << (factor->left - 1)), factor->multiplier);
    if (factor->right) scaled = divided(scaled, factor->right);
    logits[class] = (int8_t)clamped(scaled + classifier->zero_point, INT8_MIN, INT8_MAX);
  }
}

/* exp(a) of a in [-1/4, 0), Q0.31 both: the Taylor series about -1/8. */
static int32_t exp_on_quarter(int32_t a) {
  const int32_t centre = 1895147668, third = 715827883; /* exp(-1/8), 1/3 */
  const int32_t x = a + (1 << 28);
  const int32_t x2 = product(x, x), x3 = product(x2, x);
  const int32_t x4_over_4 = divided(product(x2, x2), 2);
  const int32_t tail = divided(product(x4_over_4 + x3, third) + x2, 1);
  return centre + product(centre, x + tail);
}

/* exp(a) of a <= 0 in Q5.26, to Q0.31. */
static int32_t exp_on_negative(int32_t a) {
  /* exp(-2^k), k = -2 ... 4 */
  static const int32_t factors[7] = {1672461947, 1302514674, 790015084, 290630308,
                                     39332535,   720401,     242};
  const int32_t quarter = 1 << 24;
  const int32_t within = (a & (quarter - 1)) - quarter; /* [-1/4, 0) */
  const int32_t rest = within - a;
  int32_t result = exp_on_quarter(within * (1 << 5));
  if (a == 0) return INT32_MAX;
  for (int k = 0; k < 7; ++k) {
    if (rest & (quarter << k)) result = product(result, factors[k]);
  }
  return result;
}

/* 1 / (1 + a) of a in [0, 1], Q0.31 both: three steps of Newton and Raphson. */
static int32_t one_over_one_plus(int32_t a) {
  const int32_t half = (int32_t)(((int64_t)a + ((int64_t)1 << 31)) >> 1);
  int32_t x = 1515870810 + product(half, -1010580540); /* Q2.29: 48/17 - 32/17 d */
  for (int n = 0; n < 3; ++n) {
    const int64_t error = (int64_t)product(x, (1 << 29) - product(half, x)) * 4;
    x += error > INT32_MAX ? INT32_MAX : error < INT32_MIN ? INT32_MIN : (int32_t)error;
  }
  const int64_t doubled = 2 * (int64_t)x;
  return doubled > INT32_MAX ? INT32_MAX : (int32_t)doubled;
}

static int32_t exponential(const kws_classifier_t *classifier, int32_t difference) {
  if (difference < classifier->softmax_smallest) return 0;
  const int32_t scaled = difference * (1 << classifier->softmax_left);
  return exp_on_negative(product(scaled, classifier->softmax_multiplier));
}

void kws_classifier_softmax(const kws_classifier_t *classifier, const int8_t *logits,
                            int8_t *posteriors) {
  int32_t largest = INT8_MIN, sum = 0; /* Q12.19 */
  for (uint32_t class = 0; class < classifier->classes; ++class) {
    if (logits[class] > largest) largest = logits[class];
  }
  for (uint32_t class = 0; class < classifier->classes; ++class) {
    sum += divided(exponential(classifier, logits[class] - largest), 12);
  }
  int32_t bits = 32;
  while (!((uint32_t)sum >> (bits - 1))) --bits; /* the largest has an exponential: sum > 0 */
  const int32_t over_one = (int32_t)(((uint32_t)sum << (32 - bits)) - ((uint32_t)1 << 31));
  const int32_t reciprocal = one_over_one_plus(over_one);
  for (uint32_t class = 0; class < classifier->classes; ++class) {
    const int32_t difference = logits[class] - largest;
    int32_t value = INT8_MIN;
    if (difference >= classifier->softmax_smallest) {
      const int32_t share = product(reciprocal, exponential(classifier, difference));
      value = clamped(divided(share, bits + 3) - 128, INT8_MIN, INT8_MAX);
    }
    posteriors[class] = (int8_t)value;
  }
}
