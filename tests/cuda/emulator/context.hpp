// Switching between stacks: a dozen instructions on known processors, else ucontext.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__)) && !defined(EMU_UCONTEXT)

// Save the callee-saved registers and the stack pointer, load those of another context, and return there.
extern "C" void emu_switch(void **save, void *resume);

#if defined(__x86_64__)
__asm__(R"(
    .text
    .p2align 4
    .globl emu_switch
    .hidden emu_switch
    .type emu_switch, @function
emu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size emu_switch, .-emu_switch
)");
#else
__asm__(R"(
    .text
    .p2align 4
    .globl emu_switch
    .hidden emu_switch
    .type emu_switch, %function
emu_switch:
    stp x29, x30, [sp, #-160]!
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #16]
    ldp x21, x22, [sp, #32]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]
    ldp x27, x28, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    ldp x29, x30, [sp], #160
    ret
    .size emu_switch, .-emu_switch
)");
#endif

namespace emu {

inline void swap(void *&save, void *resume) { emu_switch(&save, resume); }

// Return a context that will run `body` on the stack that ends at `top`.
inline void *prepare(unsigned, char *top, size_t, void (*body)()) {
    void **sp = reinterpret_cast<void **>(reinterpret_cast<uintptr_t>(top) & ~uintptr_t(15));
#if defined(__x86_64__)
    *--sp = nullptr;  // where a caller's return address would be: keeps the ABI's alignment
    *--sp = reinterpret_cast<void *>(body);
    for (int n = 0; n < 6; n++) *--sp = nullptr;
#else
    sp -= 20;
    for (int n = 0; n < 20; n++) sp[n] = nullptr;
    sp[1] = reinterpret_cast<void *>(body);  // x30: where `ret` goes
#endif
    return sp;
}

inline void *no_context() { return nullptr; }

}  // namespace emu

#else

#include <ucontext.h>

namespace emu {

inline void swap(void *&save, void *resume) {
    swapcontext(static_cast<ucontext_t *>(save), static_cast<ucontext_t *>(resume));
}

inline void *prepare(unsigned n, char *top, size_t bytes, void (*body)()) {
    static ucontext_t contexts[1024];
    ucontext_t &context = contexts[n];
    getcontext(&context);
    context.uc_stack.ss_sp = top - bytes;
    context.uc_stack.ss_size = bytes;
    context.uc_link = nullptr;
    makecontext(&context, body, 0);
    return &context;
}

inline void *no_context() {
    static ucontext_t context;
    return &context;
}

}  // namespace emu

#endif
