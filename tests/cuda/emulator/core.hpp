// The threads of a block as fibers of one host thread: the interface of the core (core.cpp) to kernels (cuda.hpp).
#pragma once

#include <cstddef>
#include <cstdint>

namespace emu {

struct Dim {
    unsigned x, y, z;
};

constexpr unsigned WARP = 32;

// Warp operations. Lanes take part in the same one if kind, mask, file and line agree.
enum class Kind { sync, ballot, any, all, shuffle };

// A thread. Kernels read `thread`; the core uses the rest.
struct Fiber {
    Dim thread;
    unsigned id, lane;
    void *context;       // its saved stack pointer, or its ucontext_t
    uint64_t value;      // its value in a warp operation
    unsigned source;     // the lane whose value it reads
    uint64_t result;     // the result of the operation
    const char *waits;   // the intrinsic it waits in; null: it can run, or has ended
    const char *file;
    int line;
    unsigned mask;
    bool ended;
};

extern Fiber *now;  // the running thread
extern Dim block_index, block_size, grid_size;
extern char *dynamic_shared;

struct Barrier {
    unsigned count;  // threads whose predicate was not 0
    bool all;
};

// Wait for all threads of the block.
Barrier barrier(bool predicate, const char *what, const char *file, int line);

// Wait for the lanes of `mask`; return the ballot, or the value of lane `source`.
uint64_t meet(Kind kind, const char *what, unsigned mask, uint64_t value, unsigned source, const char *file, int line);

// End the launch with an error that names the kernel's thread and place.
[[noreturn, gnu::format(printf, 3, 4)]] void misuse(const char *file, int line, const char *format, ...);

// Declare a shared variable; it is poisoned for the first thread of a block that declares it.
void declare(void *variable, size_t bytes);

enum Access { READ = 0, WRITE = 1, ATOMIC = 2 };

// Check an access to memory; called in the checked build only.
void access(const void *address, size_t bytes, Access access, const void *place);

// A parameter of a kernel: `kind` of it, or of what it points to: f, i, u, b(ool), v(oid), s(truct).
struct Parameter {
    char kind;
    unsigned bytes;  // of the parameter's value, or of an element that it points to
    bool pointer, constant;
};

// A kernel as its library exports it.
struct Kernel {
    void (*call)(void **values);
    const Parameter *parameters;
    unsigned count;
    unsigned bounds;  // of __launch_bounds__, or 0
};

// An array among the arguments.
struct Array {
    char *data;
    size_t bytes;
    unsigned index;   // among the arguments
    unsigned offset;  // of data in its allocation, modulo 256
    unsigned element; // bytes of one
    bool constant;
};

struct Launch {
    const Kernel *kernel;
    void **values;       // one pointer to each argument's value; those of arrays are set by the core
    const Array *arrays;
    unsigned count;      // of arrays
    Dim grid, block;
    size_t shared;       // dynamic, in bytes
    size_t limit;        // of shared memory, static and dynamic
    uint64_t seed;
    bool twice, checked;
};

}  // namespace emu

// Run a launch. Return 0, or 1 with an error in `message`; the arrays are then unchanged.
extern "C" int emu_launch(const emu::Launch *launch, char *message, size_t size);
