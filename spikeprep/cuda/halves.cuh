// Numbers as pairs of IEEE halves, and products of these on tensor cores. Only for float32.
//
// A real number x is split into a high half, x rounded, and a low half, the rest rounded: together 22 bits of it. Spikes
// are 0 and 1, which are exact in half precision, so products with high and low, added in float32, keep its accuracy.
#pragma once
#include "common.cuh"

typedef unsigned short Half;  // the bits of a half: NVIDIA's header for them is not always installed

// Round to nearest, ties to even; from 65 520 on, infinity.
__device__ __forceinline__ Half to_half(float x) {
#ifdef FOR_GPU
    Half half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(x));
    return half;
#else
    unsigned int bits = __float_as_uint(x), sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits >= 0x47800000u) return (Half)(sign | (bits > 0x7f800000u ? 0x7fffu : 0x7c00u));
    // below 2^-14 the spacing of halves is 2^-24, as that of floats from 0.5 on
    if (bits < 0x38800000u) return (Half)(sign | (__float_as_uint(__uint_as_float(bits) + 0.5f) - 0x3f000000u));
    return (Half)(sign | (bits - 0x38000000u + 0xfffu + (bits >> 13 & 1u)) >> 13);
#endif
}

__device__ __forceinline__ float from_half(Half half) {
#ifdef FOR_GPU
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(half));
    return x;
#else
    unsigned int sign = (half & 0x8000u) << 16, rest = half & 0x7fffu;
    float small = rest * 5.9604644775390625e-8f;  // 2^-24
    unsigned int raised = rest < 0x7c00u ? 0x38000000u : 0x70000000u;  // infinity and NaN have the highest exponent
    return __uint_as_float(sign | (rest < 0x400u ? __float_as_uint(small) : (rest << 13) + raised));
#endif
}

// Return two halves as a word, `first` in its low part.
__device__ __forceinline__ Word halves_of(float first, float second) {
#ifdef TENSOR_CORES
    Word both;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
    return both;
#else
    return (Word)to_half(second) << 16 | to_half(first);
#endif
}

// Round to float32 as tensor cores do, whose sums of eight products are truncated (measured by others, not documented).
__device__ __forceinline__ float toward_zero(double x) {
    float near = (float)x;
    bool larger = near > 0 ? near > x : near < x;
    return larger ? __uint_as_float(__float_as_uint(near) - 1) : near;
}

// sum (16 × 8, float32) += a (16 × 16) · b (16 × 8), by a warp. Lane 4 g + c holds, two halves in a word:
//   a[0], a[1]    columns 2 c and 2 c + 1 of rows g and g + 8;   a[2], a[3]   columns 2 c + 8 and 2 c + 9 of these
//   b0, b1        rows 2 c and 2 c + 1 of column g;              rows 2 c + 8 and 2 c + 9 of it
//   sum[0], [1]   columns 2 c and 2 c + 1 of row g;              [2], [3]     of row g + 8
// (PTX ISA, fragments of mma.m16n8k16.)
__device__ __forceinline__ void add_product(float (&sum)[4], const Word (&a)[4], Word b0, Word b1) {
#ifdef TENSOR_CORES
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#elif defined(FOR_GPU)
    asm volatile("trap;");  // older GPUs compile it, and are never asked for it
#else
    int lane = threadIdx.x & 31, row = lane & ~3, column = 2 * (lane & 3);
    for (int part = 0; part < 2; ++part) {
        double exact[4] = {sum[0], sum[1], sum[2], sum[3]};
        for (int c = 0; c < 4; ++c) {  // a pair of a's columns and of b's rows at a time
            Word above = __shfl_sync(ALL, a[2 * part], row + c), below = __shfl_sync(ALL, a[2 * part + 1], row + c);
            for (int n = 0; n < 2; ++n) {
                Word right = __shfl_sync(ALL, part ? b1 : b0, 4 * (column + n) + c);
                double low = from_half((Half)right), high = from_half((Half)(right >> 16));
                exact[n] += from_half((Half)above) * low + from_half((Half)(above >> 16)) * high;
                exact[2 + n] += from_half((Half)below) * low + from_half((Half)(below >> 16)) * high;
            }
        }
        for (int k = 0; k < 4; ++k) sum[k] = toward_zero(exact[k]);
    }
#endif
}
