#!/bin/sh
# Builds for a Cortex-M and runs the golden check on QEMU; the exit code is the check's.
#
#   sh run_qemu.sh [cortex-m4|cortex-m7|cortex-m55|cortex-m3|cortex-m0plus] [TFLM_DIR] \
#     [-DOPTION=VALUE ...]
#
# With TFLM_DIR (or "" for none) the application with TFLM runs as well; further words are options
# of CMake, such as -DTFLM_LIBRARY=... or -DKWS_OUTPUT_TOLERANCE=8. Needs gcc-arm-none-eabi,
# libnewlib-arm-none-eabi, cmake and qemu-system-arm (with TFLM: libstdc++-arm-none-eabi-newlib).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cpu=${1:-cortex-m4}
tflm=${2:-}
[ $# -lt 2 ] || shift
[ $# -lt 1 ] || shift
case $cpu in
  cortex-m55) machine=mps3-an547 ;;
  cortex-m7) machine=mps2-an500 ;;
  cortex-m4) machine=mps2-an386 ;;
  cortex-m3 | cortex-m0plus) machine=mps2-an385 ;; # a Cortex-M3 runs Cortex-M0+ code
  *) echo "unknown processor $cpu" >&2; exit 2 ;;
esac
for tool in arm-none-eabi-gcc cmake qemu-system-arm; do
  command -v $tool > /dev/null || { echo "$tool is missing; install it and run again" >&2; exit 2; }
done
build="$here/build-$cpu"
cmake -S "$here" -B "$build" -DCMAKE_TOOLCHAIN_FILE="$here/arm-none-eabi.cmake" -DKWS_CPU="$cpu" \
  -DKWS_MPS2=ON -DTFLM_DIR="$tflm" "$@" > "$build.log"
cmake --build "$build" -j 2 >> "$build.log"
[ -z "$tflm" ] || grep TFLM_LIBRARY: "$build/CMakeCache.txt" >&2
for program in kws_golden_frontend kws_bare_examples ${tflm:+kws_examples}; do
  [ -f "$build/$program" ] || continue
  qemu-system-arm -M $machine -nographic -monitor none -serial none -icount shift=0 \
    -semihosting-config enable=on,target=native -kernel "$build/$program"
done
