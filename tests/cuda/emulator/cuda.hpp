// CUDA C++ for the host's compiler: the part of the language that kernels use, on the fibers of core.cpp.
//
// A kernel's text follows inside an unnamed namespace, with `extern "C"` before `__global__` removed, and
// `extern __shared__ T name[];` replaced by `T *const name = ...` (build.py).
#pragma once

#include <cfloat>
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>
#include <utility>

#include "core.hpp"

// ---------------------------------------------------------------- the language

#define __CUDA_ARCH__ 800
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __grid_constant__
#define __assume(condition)
#define __shared__ static  // blocks run one after another; build.py adds a call of emu::declare after each declaration

#ifdef EMU_CHECKED
#define EMU_UNSEEN __attribute__((no_sanitize("thread"), noinline))
#else
#define EMU_UNSEEN inline
#endif

#define threadIdx (::emu::now->thread)
#define blockIdx (::emu::block_index)
#define blockDim (::emu::block_size)
#define gridDim (::emu::grid_size)
constexpr int warpSize = 32;

#define EMU_VECTORS(T, name, one)                                                                    \
    struct name##1 { T x; };                                                                         \
    struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                               \
    struct name##3 { T x, y, z; };                                                                   \
    struct alignas(sizeof(T) < 4 ? 4 * sizeof(T) : 16) name##4 { T x, y, z, w; };                    \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                       \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                               \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMU_VECTORS(signed char, char, 1)
EMU_VECTORS(unsigned char, uchar, 1)
EMU_VECTORS(short, short, 2)
EMU_VECTORS(unsigned short, ushort, 2)
EMU_VECTORS(int, int, 4)
EMU_VECTORS(unsigned, uint, 4)
EMU_VECTORS(float, float, 4)
EMU_VECTORS(double, double, 8)
EMU_VECTORS(long long, longlong, 8)
EMU_VECTORS(unsigned long long, ulonglong, 8)
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

// ---------------------------------------------------------------- barriers and fences

#define EMU_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(EMU_HERE) { emu::barrier(false, "__syncthreads", file, line); }
inline int __syncthreads_count(int predicate, EMU_HERE) {
    return int(emu::barrier(predicate != 0, "__syncthreads_count", file, line).count);
}
inline int __syncthreads_or(int predicate, EMU_HERE) {
    return emu::barrier(predicate != 0, "__syncthreads_or", file, line).count != 0;
}
inline int __syncthreads_and(int predicate, EMU_HERE) {
    return emu::barrier(predicate != 0, "__syncthreads_and", file, line).all;
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

// ---------------------------------------------------------------- warps

inline void __syncwarp(unsigned mask = ~0u, EMU_HERE) {
    emu::meet(emu::Kind::sync, "__syncwarp", mask, 0, 0, file, line);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, EMU_HERE) {
    return unsigned(emu::meet(emu::Kind::ballot, "__ballot_sync", mask, predicate != 0, 0, file, line));
}
inline int __any_sync(unsigned mask, int predicate, EMU_HERE) {
    return int(emu::meet(emu::Kind::any, "__any_sync", mask, predicate != 0, 0, file, line));
}
inline int __all_sync(unsigned mask, int predicate, EMU_HERE) {
    return int(emu::meet(emu::Kind::all, "__all_sync", mask, predicate != 0, 0, file, line));
}

namespace emu {

template <class T>
T shuffle(const char *what, unsigned mask, T value, unsigned source, const char *file, int line) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "a shuffle moves 4 or 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = meet(Kind::shuffle, what, mask, bits, source, file, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}

inline unsigned lane() { return now->lane; }

template <class T, class F>
T reduce(const char *what, unsigned mask, T value, F join, const char *file, int line) {
    T all{};
    bool first = true;
    for (unsigned l = 0; l < WARP; l++) {
        if (!(mask >> l & 1)) continue;
        T other = shuffle(what, mask, value, l, file, line);
        all = first ? other : join(all, other);
        first = false;
    }
    return all;
}

}  // namespace emu

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, EMU_HERE) {
    unsigned lane = emu::lane(), base = lane & ~unsigned(width - 1);
    return emu::shuffle("__shfl_sync", mask, value, base + (unsigned(source) & unsigned(width - 1)), file, line);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, EMU_HERE) {
    unsigned lane = emu::lane(), within = lane & unsigned(width - 1);
    return emu::shuffle("__shfl_up_sync", mask, value, delta > within ? lane : lane - delta, file, line);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, EMU_HERE) {
    unsigned lane = emu::lane(), within = lane & unsigned(width - 1);
    return emu::shuffle("__shfl_down_sync", mask, value, delta + within >= unsigned(width) ? lane : lane + delta, file,
                        line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, EMU_HERE) {
    unsigned lane = emu::lane(), other = lane ^ unsigned(bits);
    bool beyond = (other & ~unsigned(width - 1)) > (lane & ~unsigned(width - 1));  // a later part of the warp: own value
    return emu::shuffle("__shfl_xor_sync", mask, value, beyond ? lane : other, file, line);
}
#define EMU_REDUCE(name, T, expression)                                                                 \
    inline T name(unsigned mask, T value, EMU_HERE) {                                                   \
        return emu::reduce(#name, mask, value, [](T a, T b) -> T { return expression; }, file, line);   \
    }
EMU_REDUCE(__reduce_add_sync, unsigned, a + b)
EMU_REDUCE(__reduce_add_sync, int, a + b)
EMU_REDUCE(__reduce_min_sync, unsigned, a < b ? a : b)
EMU_REDUCE(__reduce_min_sync, int, a < b ? a : b)
EMU_REDUCE(__reduce_max_sync, unsigned, a > b ? a : b)
EMU_REDUCE(__reduce_max_sync, int, a > b ? a : b)
EMU_REDUCE(__reduce_and_sync, unsigned, a & b)
EMU_REDUCE(__reduce_or_sync, unsigned, a | b)
EMU_REDUCE(__reduce_xor_sync, unsigned, a ^ b)

// ---------------------------------------------------------------- atomics: one fiber runs at a time

namespace emu {

template <class T, class F>
EMU_UNSEEN T atomic(T *at, F change) {
#ifdef EMU_CHECKED
    access(at, sizeof(T), ATOMIC, __builtin_return_address(0));
#endif
    T old = *at;
    *at = change(old);
    return old;
}

}  // namespace emu

#define EMU_ATOMIC(name, T, expression)                                                       \
    inline T name(T *at, T value) {                                                           \
        return emu::atomic(at, [value](T old) EMU_UNSEEN_LAMBDA -> T { return expression; }); \
    }                                                                                         \
    inline T name##_block(T *at, T value) { return name(at, value); }
#define EMU_UNSEEN_LAMBDA
#define EMU_ATOMIC_INTEGERS(name, expression)           \
    EMU_ATOMIC(name, int, expression)                   \
    EMU_ATOMIC(name, unsigned, expression)              \
    EMU_ATOMIC(name, unsigned long long, expression)
EMU_ATOMIC_INTEGERS(atomicAdd, old + value)
EMU_ATOMIC(atomicAdd, float, old + value)
EMU_ATOMIC(atomicAdd, double, old + value)
EMU_ATOMIC(atomicSub, int, old - value)
EMU_ATOMIC(atomicSub, unsigned, old - value)
EMU_ATOMIC_INTEGERS(atomicExch, (void(old), value))
EMU_ATOMIC(atomicExch, float, (void(old), value))
EMU_ATOMIC_INTEGERS(atomicMin, old < value ? old : value)
EMU_ATOMIC_INTEGERS(atomicMax, old > value ? old : value)
EMU_ATOMIC(atomicMin, long long, old < value ? old : value)
EMU_ATOMIC(atomicMax, long long, old > value ? old : value)
EMU_ATOMIC_INTEGERS(atomicAnd, old &value)
EMU_ATOMIC_INTEGERS(atomicOr, old | value)
EMU_ATOMIC_INTEGERS(atomicXor, old ^ value)
EMU_ATOMIC(atomicInc, unsigned, old >= value ? 0u : old + 1)
EMU_ATOMIC(atomicDec, unsigned, old == 0 || old > value ? value : old - 1)
#define EMU_CAS(T)                                                                              \
    inline T atomicCAS(T *at, T expected, T value) {                                            \
        return emu::atomic(at, [=](T old) -> T { return old == expected ? value : old; });      \
    }
EMU_CAS(int)
EMU_CAS(unsigned)
EMU_CAS(unsigned long long)

// ---------------------------------------------------------------- memory

#define EMU_LOAD(name) \
    template <class T> inline T name(const T *at) { return *at; }
#define EMU_STORE(name) \
    template <class T> inline void name(T *at, T value) { *at = value; }
EMU_LOAD(__ldg)
EMU_LOAD(__ldca)
EMU_LOAD(__ldcg)
EMU_LOAD(__ldcs)
EMU_LOAD(__ldlu)
EMU_LOAD(__ldcv)
EMU_STORE(__stwb)
EMU_STORE(__stcg)
EMU_STORE(__stcs)
EMU_STORE(__stwt)

// ---------------------------------------------------------------- integers and bits

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline unsigned long long __brevll(unsigned long long x) {
    x = (x & 0x5555555555555555u) << 1 | (x >> 1 & 0x5555555555555555u);
    x = (x & 0x3333333333333333u) << 2 | (x >> 2 & 0x3333333333333333u);
    x = (x & 0x0F0F0F0F0F0F0F0Fu) << 4 | (x >> 4 & 0x0F0F0F0F0F0F0F0Fu);
    return __builtin_bswap64(x);
}
inline unsigned __brev(unsigned x) { return unsigned(__brevll(x) >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
inline int __mulhi(int a, int b) { return int((int64_t(a) * b) >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by) {
    return unsigned(((uint64_t(high) << 32 | low) << (by & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned by) {
    return unsigned((uint64_t(high) << 32 | low) >> (by & 31));
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
    uint64_t bytes = uint64_t(b) << 32 | a;
    unsigned out = 0;
    for (int n = 0; n < 4; n++) {
        unsigned pick = selector >> (4 * n) & 0xF;
        unsigned byte = unsigned(bytes >> (8 * (pick & 7)) & 0xFF);
        if (pick & 8) byte = byte & 0x80 ? 0xFF : 0;
        out |= byte << (8 * n);
    }
    return out;
}

namespace emu {

template <class To, class From>
To cast(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

}  // namespace emu

inline int __float_as_int(float x) { return emu::cast<int>(x); }
inline unsigned __float_as_uint(float x) { return emu::cast<unsigned>(x); }
inline float __int_as_float(int x) { return emu::cast<float>(x); }
inline float __uint_as_float(unsigned x) { return emu::cast<float>(x); }
inline long long __double_as_longlong(double x) { return emu::cast<long long>(x); }
inline double __longlong_as_double(long long x) { return emu::cast<double>(x); }

// ---------------------------------------------------------------- arithmetic

#define EMU_MINMAX(T)                                        \
    inline T min(T a, T b) { return b < a ? b : a; }         \
    inline T max(T a, T b) { return a < b ? b : a; }
EMU_MINMAX(int)
EMU_MINMAX(unsigned)
EMU_MINMAX(long)
EMU_MINMAX(unsigned long)
EMU_MINMAX(long long)
EMU_MINMAX(unsigned long long)
inline unsigned min(unsigned a, int b) { return min(a, unsigned(b)); }
inline unsigned min(int a, unsigned b) { return min(unsigned(a), b); }
inline unsigned max(unsigned a, int b) { return max(a, unsigned(b)); }
inline unsigned max(int a, unsigned b) { return max(unsigned(a), b); }
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline float __saturatef(float x) { return fminf(fmaxf(x, 0.0f), 1.0f); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
// a product that no compiler may fuse with an addition
inline float __fmul_rn(float a, float b) {
    volatile float product = a * b;
    return product;
}
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) {
    volatile double product = a * b;
    return product;
}
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline int __float2int_rn(float x) { return int(nearbyintf(x)); }
inline int __float2int_rz(float x) { return int(x); }
inline int __float2int_rd(float x) { return int(floorf(x)); }
inline int __float2int_ru(float x) { return int(ceilf(x)); }
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }
inline void __trap() { emu::misuse(nullptr, 0, "__trap() was called"); }
using std::abs, std::ceil, std::cos, std::exp, std::exp2, std::expm1, std::fabs, std::floor, std::fma, std::fmax,
    std::fmin, std::isfinite, std::isinf, std::isnan, std::log, std::log1p, std::log2, std::pow, std::round, std::sin,
    std::sqrt, std::tanh;
#undef assert
#define assert(condition) \
    ((condition) ? (void)0 : emu::misuse(__FILE__, __LINE__, "an assertion failed: %s", #condition))

// ---------------------------------------------------------------- kernels, as the core calls them

namespace emu {

template <class T>
char *dynamic() {
    if (!now) return nullptr;
    return dynamic_shared;
}

template <class T>
constexpr char kind() {
    using U = std::remove_cv_t<T>;
    return std::is_void_v<U>             ? 'v'
           : std::is_same_v<U, bool>     ? 'b'
           : std::is_floating_point_v<U> ? 'f'
           : std::is_unsigned_v<U>       ? 'u'
           : std::is_integral_v<U>       ? 'i'
                                         : 's';
}

template <class T>
constexpr unsigned bytes() {
    if constexpr (std::is_void_v<T>)
        return 1;
    else
        return sizeof(T);
}

template <class T>
constexpr Parameter parameter() {
    using E = std::remove_pointer_t<T>;
    if constexpr (std::is_pointer_v<T>)
        return {kind<E>(), bytes<E>(), true, std::is_const_v<E>};
    else
        return {kind<T>(), bytes<T>(), false, true};
}

template <auto F>
struct Call;

template <class... P, void (*F)(P...)>
struct Call<F> {
    static constexpr Parameter parameters[sizeof...(P) + 1] = {parameter<P>()..., {}};
    static constexpr unsigned count = sizeof...(P);

    static void call(void **values) { call(values, std::index_sequence_for<P...>{}); }
    template <size_t... I>
    static void call(void **values, std::index_sequence<I...>) {
        F(*static_cast<std::remove_reference_t<P> *>(values[I])...);
    }
};

constexpr unsigned bounds(unsigned threads = 0, unsigned = 0, unsigned = 0) { return threads; }

}  // namespace emu

#define EMU_EXPORT(name, ...)                                                                                  \
    extern "C" __attribute__((visibility("default"))) const emu::Kernel emu_kernel_##name = {                  \
        &emu::Call<&name>::call, emu::Call<&name>::parameters, emu::Call<&name>::count, emu::bounds(__VA_ARGS__)};
