// A stack of its own for each of many functions, and the switch from one to another.
#pragma once

#include <stddef.h>

#if defined(__x86_64__) && defined(__linux__) && !defined(BNC_UCONTEXT)
#define BNC_OWN_SWITCH
#else
#include <ucontext.h>
#endif

namespace on_cpu {

constexpr size_t STACK = 64 * 1024;

#ifdef BNC_OWN_SWITCH
// swapcontext() makes two system calls; this saves what the calling convention asks for.
extern "C" void bnc_switch_stack(void **save, void *load) __attribute__((visibility("hidden")));
asm(R"(
.text
.hidden bnc_switch_stack
.globl bnc_switch_stack
.type bnc_switch_stack, @function
bnc_switch_stack:
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
.size bnc_switch_stack, .-bnc_switch_stack
)");

struct Context {
  void *stack_pointer = nullptr;

  void prepare(unsigned char *stack, void (*entry)()) {
    // After the six registers and entry's address, the stack is as after a call: 16 k + 8.
    void **top = reinterpret_cast<void **>(stack + STACK - 64);
    *--top = nullptr;
    *--top = reinterpret_cast<void *>(entry);
    for (int k = 0; k < 6; ++k) *--top = nullptr;
    stack_pointer = top;
  }
  void switch_to(Context &other) { bnc_switch_stack(&stack_pointer, other.stack_pointer); }
};
#else
struct Context {
  ucontext_t state;

  void prepare(unsigned char *stack, void (*entry)()) {
    getcontext(&state);
    state.uc_stack.ss_sp = stack;
    state.uc_stack.ss_size = STACK;
    state.uc_link = nullptr;
    makecontext(&state, entry, 0);
  }
  void switch_to(Context &other) { swapcontext(&state, &other.state); }
};
#endif

}  // namespace on_cpu
