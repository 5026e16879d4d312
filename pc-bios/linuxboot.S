/*
 * Boot ROM for a Linux kernel that the emulator was given: loads it by the x86 boot protocol
 * (Documentation/arch/x86/boot.rst of Linux) and enters its real-mode code.
 */
#include "optrom.h"

        rom_header "Linux kernel"

boot:
        cli
        cld
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %ss
        mov     $STACK, %sp
        sti

        load    INITRD_ADDR, INITRD_SIZE, INITRD_DATA
        load    KERNEL_ADDR, KERNEL_SIZE, KERNEL_DATA
        load    CMDLINE_ADDR, CMDLINE_SIZE, CMDLINE_DATA
        load    SETUP_ADDR, SETUP_SIZE, SETUP_DATA

        /* All segments are the setup code's; its heap and our stack end below the command line. */
        mov     $CMDLINE_ADDR, %ax
        call    read_number
        mov     %eax, %ebx
        mov     $SETUP_ADDR, %ax
        call    read_number
        sub     %eax, %ebx
        sub     $16, %ebx
        cmp     $0xfff0, %ebx
        jbe     1f
        mov     $0xfff0, %ebx
1:
        shr     $4, %eax
        cli
        mov     %ax, %ss
        mov     %bx, %sp
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %fs
        mov     %ax, %gs
        add     $0x20, %ax      /* the entry is one sector in */
        push    %ax
        push    $0
        xor     %eax, %eax
        xor     %ebx, %ebx
        xor     %ecx, %ecx
        xor     %edx, %edx
        xor     %esi, %esi
        xor     %edi, %edi
        xor     %ebp, %ebp
        lret

        rom_functions
