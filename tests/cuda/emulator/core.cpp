// The threads of a block run in turn on one host thread, each with its own stack, and yield where CUDA's would wait.
//
// The order of blocks, warps and lanes is shuffled by the seed. A launch that runs `twice` does so in two opposite orders,
// with differently poisoned shared memory and the same inputs; both must give the same bits. Results that depend on the
// order of threads, or on shared memory that was never written, are thus errors.

#include "core.hpp"

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>

#include "context.hpp"
#include "memory.hpp"
#include "shadow.hpp"

namespace emu {

Fiber *now;
Dim block_index, block_size, grid_size;
char *dynamic_shared;

namespace {

constexpr unsigned THREADS = 1024;
constexpr size_t STACK = 17 * 4096;      // an odd number of pages, so that stacks do not share cache sets
constexpr size_t SHARED = 256 * 1024;    // the most dynamic shared memory

struct Meeting {
    Kind kind;
    unsigned mask, arrived;
    const char *file;
    int line;
};

struct Warp {
    unsigned lanes, ended;  // bit masks
    unsigned open;          // warp operations that wait for lanes
    Meeting meetings[WARP];
    unsigned char order[WARP];
};

// Threads that can run, by number; a ring buffer.
struct Turns {
    static constexpr unsigned SIZE = 2 * THREADS;
    uint16_t ring[SIZE];
    unsigned first, count;

    void back(unsigned id) { ring[(first + count++) % SIZE] = uint16_t(id); }
    void front(unsigned id) {
        first = (first + SIZE - 1) % SIZE;
        ring[first] = uint16_t(id);
        count++;
    }
    unsigned take() {
        unsigned id = ring[first];
        first = (first + 1) % SIZE;
        count--;
        return id;
    }
};

Fiber fibers[THREADS];
Warp warps[THREADS / WARP];
uint16_t order[THREADS];
Turns turns;
unsigned threads, ended, waiting, yes, barriers;
const char *barrier_what, *barrier_file;
int barrier_line;
Barrier outcome[2];
bool backwards, failed;
std::string error;
const Launch *launch;
struct {
    void *variable;
    size_t bytes;
} declared[64];  // shared variables of this block
unsigned declarations;
char *stacks;
Arena arena;
char *shared_arena;
void *home = no_context();

// ---------------------------------------------------------------- turns

uint64_t mixed;

unsigned random(unsigned below) {
    mixed += 0x9E3779B97F4A7C15u;
    uint64_t z = mixed;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return unsigned((uint64_t(unsigned(z)) * below) >> 32);
}

template <class T>
void shuffle(T *items, unsigned count) {
    for (unsigned n = count; n > 1; n--) std::swap(items[n - 1], items[random(n)]);
}

void leave(Fiber *from) {
    if (!turns.count) {
        std::string who;
        struct Place {
            const char *waits, *file;
            int line;
            unsigned mask, count, first;
        };
        std::vector<Place> places;
        for (unsigned n = 0; n < threads; n++) {
            const Fiber &f = fibers[n];
            if (f.ended) continue;
            bool known = false;
            for (Place &p : places)
                if (p.waits == f.waits && p.file == f.file && p.line == f.line && p.mask == f.mask) {
                    p.count++;
                    known = true;
                }
            if (!known) places.push_back({f.waits, f.file, f.line, f.mask, 1, n});
        }
        char text[256];
        for (const Place &p : places) {
            snprintf(text, sizeof text, "%s%u wait%s in %s", who.empty() ? "" : ", ", p.count, p.count > 1 ? "" : "s",
                     p.waits);
            who += text;
            if (p.mask) snprintf(text, sizeof text, " with mask %08x", p.mask), who += text;
            snprintf(text, sizeof text, " at %s:%d (thread %u)", p.file, p.line, p.first);
            who += text;
        }
        misuse(nullptr, 0, "no thread can go on: of %u, %u have ended, %s", threads, ended, who.c_str());
    }
    now = &fibers[turns.take()];
    if (now != from) swap(from->context, now->context);
}

void wait(Fiber &f, const char *what, const char *file, int line, unsigned mask) {
    f.waits = what;
    f.file = file;
    f.line = line;
    f.mask = mask;
}

[[noreturn]] void body() {
    launch->kernel->call(launch->values);
    Fiber &f = *now;
    f.ended = true;
    warps[f.id / WARP].ended |= 1u << f.lane;
    if (++ended == threads)
        swap(f.context, home);
    else
        leave(&f);
    abort();
}

void block_begins() {
    turns.first = turns.count = 0;
    ended = waiting = yes = barriers = 0;
    unsigned count = (threads + WARP - 1) / WARP;
    unsigned char sequence[THREADS / WARP];
    for (unsigned w = 0; w < count; w++) {
        Warp &warp = warps[w];
        unsigned lanes = threads - w * WARP < WARP ? threads - w * WARP : WARP;
        warp.lanes = lanes == WARP ? ~0u : (1u << lanes) - 1;
        warp.ended = warp.open = 0;
        for (unsigned l = 0; l < lanes; l++) warp.order[l] = (unsigned char)l;
        shuffle(warp.order, lanes);
        sequence[w] = (unsigned char)w;
    }
    shuffle(sequence, count);
    unsigned at = 0;
    for (unsigned w = 0; w < count; w++)
        for (unsigned l = 0; sequence[w] * WARP + l < threads && l < WARP; l++)
            order[at++] = uint16_t(sequence[w] * WARP + warps[sequence[w]].order[l]);
    for (unsigned n = 0; n < threads; n++) {
        Fiber &f = fibers[n];
        f.waits = nullptr;
        f.ended = false;
        char *top = stacks + size_t(n + 1) * STACK - 256 * (n % 8);
        f.context = prepare(n, top, STACK - 4096 - 2048, body);
        turns.back(order[backwards ? threads - 1 - n : n]);
    }
}

Dim unfold(size_t index, Dim size) {
    return {unsigned(index % size.x), unsigned(index / size.x % size.y), unsigned(index / size.x / size.y)};
}

int poison_byte() { return backwards ? 0xA5 : 0xFF; }

// Run all blocks; return false after an error.
bool run(size_t blocks) {
    mixed = launch->seed;
    std::vector<uint32_t> sequence(blocks);
    for (size_t n = 0; n < blocks; n++) sequence[n] = uint32_t(n);
    shuffle(sequence.data(), unsigned(blocks));
    int poison = poison_byte();
    for (size_t n = 0; n < blocks; n++) {
        // both runs shuffle a block's threads alike; the second runs them in reverse
        uint32_t index = sequence[backwards ? blocks - 1 - n : n];
        mixed = launch->seed ^ (uint64_t(index) << 20);
        block_index = unfold(index, grid_size);
        declarations = 0;
        size_t rounded = (launch->shared + 15) & ~size_t(15);
        memset(shared_arena, GUARD_BYTE, GUARD);
        memset(dynamic_shared, poison, launch->shared);
        memset(dynamic_shared + launch->shared, GUARD_BYTE, GUARD + rounded - launch->shared);
        if (launch->checked) shadow::block_begins(index);
        block_begins();
        now = &fibers[turns.take()];
        swap(home, now->context);
        if (failed) return false;
        if (!guard_kept(shared_arena) || !guard_kept(dynamic_shared + launch->shared)) {
            now = nullptr;
            error = "a write past dynamic shared memory (" + std::to_string(launch->shared) + " bytes)";
            return false;
        }
    }
    return true;
}

// ---------------------------------------------------------------- faults

struct Faults {
    static constexpr int SIGNALS[4] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction before[4];
    stack_t stack_before;

    static void fault(int signal, siginfo_t *info, void *) {
        failed = true;
        char text[200];
        snprintf(text, sizeof text, "%s at address %p: an access far outside every array, or through a wrong pointer",
                 signal == SIGFPE ? "an arithmetic fault" : "a memory fault", info->si_addr);
        if (signal == SIGFPE) snprintf(text, sizeof text, "an arithmetic fault: integer division by zero");
        error = text;
        swap(now->context, home);
    }

    Faults() {
        static char *alternate = reserve(1 << 16, PROT_READ | PROT_WRITE);
        stack_t stack{};
        stack.ss_sp = alternate;
        stack.ss_size = 1 << 16;
        sigaltstack(&stack, &stack_before);
        struct sigaction action {};
        action.sa_sigaction = fault;
        action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
        for (int n = 0; n < 4; n++) sigaction(SIGNALS[n], &action, &before[n]);
    }

    ~Faults() {
        for (int n = 0; n < 4; n++) sigaction(SIGNALS[n], &before[n], nullptr);
        sigaltstack(&stack_before, nullptr);
    }
};

constexpr int Faults::SIGNALS[4];

// ---------------------------------------------------------------- a launch

void point(const std::vector<Piece> &pieces, std::vector<char *> &pointers) {
    for (unsigned n = 0; n < launch->count; n++) {
        const Array &a = launch->arrays[n];
        pointers[n] = arena.begin;  // an empty array: between guards, or at least not null
        for (const Piece &p : pieces)
            if (a.bytes && a.data >= p.data && a.data < p.data + p.bytes) pointers[n] = p.copy + (a.data - p.data);
        launch->values[a.index] = &pointers[n];
    }
}

bool emulate() {
    std::vector<Piece> pieces = pieces_of(*launch);
    std::vector<char *> pointers(launch->count);
    if (!place(arena, pieces, error)) return false;
    point(pieces, pointers);
    size_t blocks = size_t(grid_size.x) * grid_size.y * grid_size.z;
    if (launch->checked) {
        shadow::launch_begins();
        for (Piece &p : pieces) shadow::add(p.copy, p.bytes, p.index, p.element < 4 ? p.element : 4, true);
        if (launch->shared) shadow::add(dynamic_shared, launch->shared, shadow::DYNAMIC, 1, false);
        shadow::arena(arena.begin - REACH, 4 * REACH, shared_arena, 2 * GUARD + SHARED);
    }
    for (int pass = 0; pass < (launch->twice ? 2 : 1); pass++) {
        backwards = pass;
        fill(pieces);
        if (launch->checked && pass) shadow::again();
        if (!run(blocks) || !kept(pieces, error)) return false;
        if (launch->twice && !pass)
            for (Piece &p : pieces)
                if (!p.constant) p.first.assign(p.copy, p.copy + p.bytes);
    }
    now = nullptr;
    for (Piece &p : pieces) {
        if (p.constant) continue;
        for (size_t n = 0; launch->twice && n < p.bytes; n++)
            if (p.first[n] != p.copy[n]) {
                error = "a race: byte " + std::to_string(n) + " of argument " + std::to_string(p.index) +
                        " depends on the order in which threads run, or on shared memory that was never written";
                return false;
            }
    }
    for (Piece &p : pieces)
        if (!p.constant) memcpy(p.data, p.copy, p.bytes);
    return true;
}

}  // namespace

void misuse(const char *file, int line, const char *format, ...) {
    char text[1000];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    error = text;
    if (file) error += std::string(" at ") + file + ":" + std::to_string(line);
    failed = true;
    swap(now->context, home);
    abort();
}

Barrier barrier(bool predicate, const char *what, const char *file, int line) {
    Fiber &f = *now;
    if (!waiting) {
        barrier_what = what;
        barrier_file = file;
        barrier_line = line;
    } else if (barrier_what != what || barrier_file != file || barrier_line != line) {
        misuse(file, line, "a divergent barrier: others of the block wait in %s at %s:%d, this thread in %s",
               barrier_what, barrier_file, barrier_line, what);
    }
    if (ended) misuse(file, line, "a divergent barrier: %u threads have ended, and this one waits in %s", ended, what);
    yes += predicate;
    unsigned phase = barriers;
    wait(f, what, file, line, 0);
    if (++waiting == threads) {
        outcome[phase % 2] = {yes, yes == threads};
        waiting = yes = 0;
        barriers++;
        if (launch->checked) shadow::barrier();
        for (unsigned n = 0; n < threads; n++) {
            unsigned id = order[backwards ? threads - 1 - n : n];
            fibers[id].waits = nullptr;
            turns.back(id);
        }
    }
    leave(&f);
    return outcome[phase % 2];
}

uint64_t meet(Kind kind, const char *what, unsigned mask, uint64_t value, unsigned source, const char *file, int line) {
    Fiber &f = *now;
    Warp &warp = warps[f.id / WARP];
    unsigned me = 1u << f.lane;
    if (!(mask & me)) misuse(file, line, "%s with mask %08x, which does not name the calling lane %u", what, mask, f.lane);
    if (mask & ~warp.lanes)
        misuse(file, line, "%s with mask %08x, which names lanes that the block does not have (%08x)", what, mask,
               mask & ~warp.lanes);
    if (mask & warp.ended)
        misuse(file, line, "%s with mask %08x, which names lanes that have ended (%08x)", what, mask, mask & warp.ended);
    unsigned n = 0;
    for (; n < warp.open; n++) {
        Meeting &m = warp.meetings[n];
        if (m.kind == kind && m.mask == mask && m.line == line && m.file == file) break;
    }
    Meeting &meeting = warp.meetings[n];
    if (n == warp.open) {
        meeting = {kind, mask, 0, file, line};
        warp.open++;
    }
    meeting.arrived |= me;
    f.value = value;
    f.source = source;
    wait(f, what, file, line, mask);
    if (meeting.arrived == mask) {
        Fiber *lanes = &fibers[f.id - f.lane];
        uint64_t ballot = 0;
        if (kind != Kind::shuffle)
            for (unsigned l = 0; l < WARP; l++)
                if (mask >> l & 1 && lanes[l].value) ballot |= uint64_t(1) << l;
        uint64_t answer = kind == Kind::any ? ballot != 0 : kind == Kind::all ? ballot == mask : ballot;
        unsigned size = unsigned(__builtin_popcount(warp.lanes));
        for (unsigned k = 0; k < size; k++) {
            unsigned l = warp.order[backwards ? k : size - 1 - k];  // the last one queued runs first
            if (!(mask >> l & 1)) continue;
            // the value of a lane that does not exist is undefined: as a float, NaN
            if (kind == Kind::shuffle)
                answer = lanes[l].source < WARP && mask >> lanes[l].source & 1 ? lanes[lanes[l].source].value : ~uint64_t(0);
            lanes[l].result = answer;
            lanes[l].waits = nullptr;
            turns.front(lanes[l].id);
        }
        if (launch->checked && kind == Kind::sync) shadow::warp_sync(f.id / WARP, mask);
        warp.meetings[n] = warp.meetings[--warp.open];
    }
    leave(&f);
    return f.result;
}

void declare(void *variable, size_t bytes) {
    for (unsigned n = 0; n < declarations; n++)
        if (declared[n].variable == variable) return;
    if (declarations == 64) misuse(nullptr, 0, "more than 64 shared variables in a block: the emulator supports 64");
    declared[declarations++] = {variable, bytes};
    memset(variable, poison_byte(), bytes);
    size_t total = launch->shared;
    for (unsigned n = 0; n < declarations; n++) total += declared[n].bytes;
    if (total > launch->limit)
        misuse(nullptr, 0, "%zu bytes of shared memory, static and dynamic; expected at most %zu", total, launch->limit);
    if (launch->checked) shadow::declare(static_cast<char *>(variable), bytes);
}

void access(const void *address, size_t bytes, Access access, const void *place) {
    if (!now || !launch->checked) return;
    const char *wrong = shadow::access(static_cast<const char *>(address), bytes, access, now->id, place);
    if (wrong) misuse(nullptr, 0, "%s", wrong);
}

}  // namespace emu

extern "C" int emu_launch(const emu::Launch *wanted, char *message, size_t size) {
    using namespace emu;
    if (!stacks) {
        stacks = reserve(THREADS * STACK, PROT_READ | PROT_WRITE);
        shared_arena = reserve(2 * GUARD + SHARED + 4096, PROT_READ | PROT_WRITE);
        if (!stacks || !shared_arena) {
            snprintf(message, size, "no memory for the emulator's stacks");
            return 1;
        }
        for (unsigned n = 0; n < THREADS; n++) mprotect(stacks + n * STACK, 4096, PROT_NONE);
    }
    launch = wanted;
    grid_size = wanted->grid;
    block_size = wanted->block;
    threads = block_size.x * block_size.y * block_size.z;
    dynamic_shared = shared_arena + GUARD;
    failed = false;
    error.clear();
    for (unsigned n = 0; n < threads; n++) {
        fibers[n].thread = unfold(n, block_size);
        fibers[n].id = n;
        fibers[n].lane = n % WARP;
    }
    bool fine;
    {
        Faults faults;
        fine = emulate();
    }
    if (!fine) {
        std::string where;
        if (now)
            where = "thread (" + std::to_string(now->thread.x) + ", " + std::to_string(now->thread.y) + ", " +
                    std::to_string(now->thread.z) + ") of block (" + std::to_string(block_index.x) + ", " +
                    std::to_string(block_index.y) + ", " + std::to_string(block_index.z) + "): ";
        snprintf(message, size, "%s%s", where.c_str(), error.c_str());
    }
    now = nullptr;
    return fine ? 0 : 1;
}

// Callbacks that -fsanitize=thread inserts before every access, implemented here instead of by its runtime.
extern "C" {
#define EMU_ACCESS(bytes)                                                                                            \
    void __tsan_read##bytes(void *p) { emu::access(p, bytes, emu::READ, __builtin_return_address(0)); }              \
    void __tsan_write##bytes(void *p) { emu::access(p, bytes, emu::WRITE, __builtin_return_address(0)); }            \
    void __tsan_unaligned_read##bytes(void *p) { emu::access(p, bytes, emu::READ, __builtin_return_address(0)); }    \
    void __tsan_unaligned_write##bytes(void *p) { emu::access(p, bytes, emu::WRITE, __builtin_return_address(0)); }
EMU_ACCESS(1)
EMU_ACCESS(2)
EMU_ACCESS(4)
EMU_ACCESS(8)
EMU_ACCESS(16)
void __tsan_read_range(void *p, size_t n) { emu::access(p, n, emu::READ, __builtin_return_address(0)); }
void __tsan_write_range(void *p, size_t n) { emu::access(p, n, emu::WRITE, __builtin_return_address(0)); }
void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void *, void *) {}
void *__tsan_memcpy(void *to, const void *from, size_t n) {
    emu::access(from, n, emu::READ, __builtin_return_address(0));
    emu::access(to, n, emu::WRITE, __builtin_return_address(0));
    return memmove(to, from, n);
}
void *__tsan_memset(void *to, int value, size_t n) {
    emu::access(to, n, emu::WRITE, __builtin_return_address(0));
    return memset(to, value, n);
}
}
