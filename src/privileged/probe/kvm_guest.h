/* SPDX-License-Identifier: Apache-2.0 */
/* Where things are in the memory of the KVM probe's guest; for C (kvm.c) and assembler (kvm_guest.S). */
#pragma once

#define GUEST_PORT 0xf4

/* Physical addresses; below 2 MiB the guest sees them as they are. */
#define GUEST_MEMORY     0x400000
#define GUEST_PML4       0x1000
#define GUEST_PDPT       0x2000
#define GUEST_PD_LOW     0x3000
#define GUEST_PD_APIC    0x4000
#define GUEST_PAGE_TABLE 0x5000 /* for GUEST_PAGES_BASE, empty at first */
#define GUEST_GDT        0x6000
#define GUEST_TSS        0x7000
#define GUEST_IDT        0x8000
#define GUEST_CODE       0x10000
#define GUEST_STACK      0x20000 /* grows down */
#define GUEST_TRAP_STACK 0x28000 /* for traps from ring 3 */
#define GUEST_USER_STACK 0x30000
#define GUEST_PAGES_BASE 0x200000
#define GUEST_PAGES      128
#define GUEST_APIC       0xfee00000

#define GUEST_LOOPS 4000000

#define SELECTOR_CODE      0x08
#define SELECTOR_DATA      0x10
#define SELECTOR_USER_CODE 0x1b
#define SELECTOR_USER_DATA 0x23
#define SELECTOR_TSS       0x28

#define VECTOR_SYSTEM_CALL 0x80
#define VECTOR_TIMER       0x40

/* What the guest writes to GUEST_PORT. */
#define STAGE_STARTED   1
#define STAGE_CPU       2
#define STAGE_EXCEPTION 3
#define STAGE_SSE       4
#define STAGE_PAGING    5
#define STAGE_USER      6
#define STAGE_TIMER     7
#define STAGE_LOOP      8
#define STAGE_DONE      9
#define STAGE_WRONG     255
