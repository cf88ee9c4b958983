// Stand-in, see ../../../README.md.
#ifndef STUB_MICRO_COMMON_H_
#define STUB_MICRO_COMMON_H_

#include "tensorflow/lite/c/common.h"

#endif
