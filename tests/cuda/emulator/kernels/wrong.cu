// Kernels with one mistake each. All of them compile; many give the right result on a GPU at times.

// A barrier is missing between the write and the neighbour's read.
extern "C" __global__ void missing_barrier(const int *in, int *out) {
    __shared__ int mine[64];
    mine[threadIdx.x] = in[threadIdx.x];
    out[threadIdx.x] = mine[(threadIdx.x + 1) % 64];
}

template <int N>
__device__ __forceinline__ int neighbour(int x) {
    __shared__ int count, mine[2][N];
    if (threadIdx.x == 0) count = N;
    mine[0][threadIdx.x] = x;
    return mine[0][(threadIdx.x + 1) % N];
}

extern "C" __global__ void missing_barrier_in_a_template(const int *in, int *out) {
    out[threadIdx.x] = neighbour<64>(in[threadIdx.x]);
}

// The second write does not wait for the reads of the first.
extern "C" __global__ void missing_second_barrier(const int *in, int *out) {
    __shared__ int mine[64];
    int sum = 0;
    for (int n = 0; n < 4; ++n) {
        mine[threadIdx.x] = in[threadIdx.x] + n;
        __syncthreads();
        sum += mine[63 - threadIdx.x];
    }
    out[threadIdx.x] = sum;
}

// A shuffle does not order memory: __syncwarp is missing.
extern "C" __global__ void shuffle_is_no_fence(const int *in, int *out) {
    __shared__ int mine[32];
    mine[threadIdx.x] = in[threadIdx.x];
    int x = __shfl_sync(0xffffffffu, 0, 0);
    out[threadIdx.x] = mine[threadIdx.x ^ 1] + x;
}

// The order of a sum of floats is the order of the threads.
extern "C" __global__ void float_atomics(const float *in, float *out) { atomicAdd(out, in[blockIdx.x * 64 + threadIdx.x]); }

// Threads add to one place without atomics: here no addition is lost, on a GPU almost all are.
extern "C" __global__ void lost_updates(int *out) { out[0] += 1; }

// Blocks write and read one place.
extern "C" __global__ void between_blocks(int *out) {
    if (threadIdx.x == 0) out[blockIdx.x + 1] = out[blockIdx.x] + 1;
}

// Shared memory is summed that only half of the threads have written.
extern "C" __global__ void never_written(const int *in, int *out) {
    __shared__ int mine[64];
    if (threadIdx.x < 32) mine[threadIdx.x] = in[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = mine[threadIdx.x];
}

extern "C" __global__ void divergent_barrier(int *out) {
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
    out[threadIdx.x] = 1;
}

extern "C" __global__ void barrier_in_a_branch(int *out) {
    if (threadIdx.x < 40) __syncthreads();
    out[threadIdx.x] = 1;
}

extern "C" __global__ void returned_before_the_barrier(int *out, int n) {
    if ((int)threadIdx.x >= n) return;
    __syncthreads();
    out[threadIdx.x] = 1;
}

extern "C" __global__ void ended_lanes(unsigned *out) {
    if (threadIdx.x >= 20) return;
    out[threadIdx.x] = __ballot_sync(0xffffffffu, 1);
}

extern "C" __global__ void diverged_lanes(unsigned *out) {
    if (threadIdx.x % 2)
        out[threadIdx.x] = __ballot_sync(0xffffffffu, 1);
    else
        out[threadIdx.x] = __any_sync(0xffffffffu, 1);
}

extern "C" __global__ void mask_without_me(unsigned *out) { out[threadIdx.x] = __ballot_sync(0x0000ffffu, 1); }

extern "C" __global__ void shuffle_from_nobody(int *out) {
    if (threadIdx.x < 16) out[threadIdx.x] = __shfl_down_sync(0x0000ffffu, (int)threadIdx.x, 8);
}

extern "C" __global__ void writes_past(int *out, int n) { out[(int)threadIdx.x + n] = 1; }

extern "C" __global__ void reads_past(const int *in, int *out) { out[threadIdx.x] = in[threadIdx.x + 1] > 0; }

extern "C" __global__ void writes_past_shared(int *out, int n) {
    extern __shared__ int mine[];
    mine[threadIdx.x + n] = 1;
    __syncthreads();
    out[threadIdx.x] = mine[threadIdx.x];
}

extern "C" __global__ void asks_for_much(int *out) {
    __shared__ int mine[8192];
    mine[threadIdx.x] = 1;
    out[threadIdx.x] = mine[threadIdx.x];
}

extern "C" __global__ void writes_const(const int *in) { const_cast<int *>(in)[threadIdx.x] = 3; }

extern "C" __global__ void wild_pointer(int *out) { out[(long long)threadIdx.x << 40] = 1; }

extern "C" __global__ void divides_by_zero(int *out, int by) { out[threadIdx.x] = 5 / by; }

extern "C" __global__ void __launch_bounds__(64) bounded(int *out) { out[threadIdx.x] = 1; }
