/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest of the KVM probe (kvm.c): in a handful of stages it does, once, what
 * Linux does in the first milliseconds of its boot. It writes the number of each stage
 * to the port GUEST_PORT when it begins; what KVM says, and after which stage, is
 * the answer. kvm.c has put it at GUEST_CODE, in 64-bit mode, with the tables of
 * kvm_guest.h; it is position-dependent in nothing but the numbers of that header.
 */
#include "privileged/probe/kvm_guest.h"

    .section .rodata
    .balign 16
    .globl probe_guest_start, probe_guest_end
    .globl probe_guest_breakpoint, probe_guest_page_fault, probe_guest_system_call, probe_guest_timer
    .globl probe_guest_unexpected

    .macro stage number
    movb $\number, %al
    outb %al, $GUEST_PORT
    .endm

probe_guest_start:
    stage STAGE_STARTED

    stage STAGE_CPU
    movl $1, %eax
    cpuid
    movl $0xc0000080, %ecx /* EFER */
    rdmsr
    wrmsr
    rdtsc
    movq %cr3, %rax
    movq %rax, %cr3

    /* An exception and the return from it. The handler counts in %r12. */
    stage STAGE_EXCEPTION
    xorl %r12d, %r12d
    int3
    cmpl $1, %r12d
    jne probe_guest_unexpected

    /* SSE2, which is part of x86-64 and which no instruction emulator bothers with. */
    stage STAGE_SSE
    movl $20, %eax
    movd %eax, %xmm0
    movdqa %xmm0, %xmm1
    paddd %xmm1, %xmm0
    paddd %xmm1, %xmm0
    pxor %xmm1, %xmm1
    movd %xmm0, %eax
    cmpl $60, %eax
    jne probe_guest_unexpected

    /* Pages that are not mapped, mapped by the handler of the fault, one by one. */
    stage STAGE_PAGING
    xorl %r12d, %r12d
    movl $GUEST_PAGES_BASE, %edi
1:  movl %edi, (%rdi)
    addl $0x1000, %edi
    cmpl $(GUEST_PAGES_BASE + GUEST_PAGES * 0x1000), %edi
    jb 1b
    cmpl $GUEST_PAGES, %r12d
    jne probe_guest_unexpected

    /* Ring 3 and back: iretq there, a trap gate back. */
    stage STAGE_USER
    pushq $SELECTOR_USER_DATA
    pushq $GUEST_USER_STACK
    pushq $2
    pushq $SELECTOR_USER_CODE
    leaq user_code(%rip), %rax
    pushq %rax
    iretq
user_code:
    movw %cs, %ax
    andl $3, %eax
    int $VECTOR_SYSTEM_CALL
    ud2
probe_guest_system_call:
    addq $40, %rsp /* not returning to ring 3 */
    cmpl $3, %eax
    jne probe_guest_unexpected
    movl $SELECTOR_DATA, %eax
    movl %eax, %ss

    /* A timer interrupt of the local APIC ends a halt: Intel SDM volume 3, chapter "APIC". */
    stage STAGE_TIMER
    xorl %r12d, %r12d
    movl $GUEST_APIC, %edi
    movl $0x1ff, 0xf0(%rdi)              /* spurious vector, enabled */
    movl $0, 0x80(%rdi)                  /* task priority */
    movl $0xb, 0x3e0(%rdi)               /* divide by 1 */
    movl $VECTOR_TIMER, 0x320(%rdi)      /* one shot */
    movl $100000, 0x380(%rdi)            /* bus cycles, of 1 ns in KVM */
2:  cli
    testl %r12d, %r12d
    jnz 3f
    sti /* takes effect after the next instruction, so that no interrupt is lost between the two */
    hlt
    jmp 2b

    /* Work: a fraction of a millisecond for a processor, seconds for an emulator of single instructions. */
3:  stage STAGE_LOOP
    movl $GUEST_LOOPS, %ecx
4:  decl %ecx
    jnz 4b
    stage STAGE_DONE
    hlt

probe_guest_breakpoint:
    incl %r12d
    iretq

probe_guest_page_fault: /* map the page of %cr2 to itself */
    incl %r12d
    pushq %rax
    pushq %rbx
    movq %cr2, %rax
    movq %rax, %rbx
    subq $GUEST_PAGES_BASE, %rbx
    shrq $12, %rbx
    cmpq $GUEST_PAGES, %rbx
    jae probe_guest_unexpected
    andq $-0x1000, %rax
    orq $3, %rax
    movq %rax, GUEST_PAGE_TABLE(, %rbx, 8)
    popq %rbx
    popq %rax
    addq $8, %rsp /* error code */
    iretq

probe_guest_timer:
    incl %r12d
    pushq %rdi
    movl $GUEST_APIC, %edi
    movl $0, 0xb0(%rdi) /* end of interrupt */
    popq %rdi
    iretq

probe_guest_unexpected:
    stage STAGE_WRONG
    hlt
probe_guest_end:

    .section .note.GNU-stack, "", @progbits
