/*
 * Boot ROM for a multiboot kernel that the emulator was given: loads image, modules and the boot
 * information, adds what the BIOS says about memory, and enters the kernel in protected mode.
 *
 * The information structure is made by hw/boards/kernel-multiboot.c; its place for the memory map
 * has room for MMAP_MAX entries.
 */
#include "optrom.h"

#define INFO_FLAGS       0
#define INFO_MEM_LOWER   4
#define INFO_MEM_UPPER   8
#define INFO_MMAP_LENGTH 44
#define INFO_MMAP_ADDR   48

#define MMAP_MAX   64
#define ENTRY_SIZE 20           /* without the size in front */
#define SMAP       0x534d4150
#define MAGIC      0x2badb002

        rom_header "multiboot kernel"

boot:
        cli
        cld
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %ss
        mov     $STACK, %sp
        sti

        load    KERNEL_ADDR, KERNEL_SIZE, KERNEL_DATA
        load    INITRD_ADDR, INITRD_SIZE, INITRD_DATA
        load    SETUP_ADDR, SETUP_SIZE, SETUP_DATA

        mov     $SETUP_ADDR, %ax
        call    read_number
        mov     %eax, %ebp      /* stays: where the information is */
        shr     $4, %eax
        mov     %ax, %fs

        /* Kilobytes below 640 KiB, and above 1 MiB: to 16 MiB by the one, in blocks by the other. */
        int     $0x12
        movzwl  %ax, %eax
        mov     %eax, %fs:INFO_MEM_LOWER
        mov     $0xe801, %ax
        xor     %cx, %cx
        xor     %dx, %dx
        int     $0x15
        jc      1f
        movzwl  %ax, %eax
        movzwl  %bx, %ebx
        shl     $6, %ebx
        add     %ebx, %eax
        mov     %eax, %fs:INFO_MEM_UPPER
1:
        mov     %fs:INFO_MMAP_ADDR, %eax
        sub     %ebp, %eax
        mov     %ax, %di
        mov     %fs, %ax
        mov     %ax, %es
        mov     %di, %si        /* where the map starts */
        xor     %ebx, %ebx
        mov     $MMAP_MAX, %cx
next_entry:
        push    %cx
        push    %di
        push    %si
        push    %ebp
        push    %fs
        add     $4, %di
        mov     $0xe820, %eax
        mov     $SMAP, %edx
        mov     $ENTRY_SIZE, %ecx
        int     $0x15
        pop     %fs
        pop     %ebp
        pop     %si
        pop     %di
        pop     %cx
        jc      map_done
        cmp     $SMAP, %eax
        jne     map_done
        movl    $ENTRY_SIZE, %fs:(%di)
        add     $ENTRY_SIZE + 4, %di
        test    %ebx, %ebx
        loopnz  next_entry
map_done:
        sub     %si, %di
        movzwl  %di, %edi
        mov     %edi, %fs:INFO_MMAP_LENGTH

        mov     $KERNEL_ENTRY, %ax
        call    read_number
        mov     %eax, %esi

        cli
        mov     $0x92, %dx      /* a BIOS may have closed A20 */
        in      %dx, %al
        or      $2, %al
        and     $~1, %al
        out     %al, %dx

        xor     %eax, %eax
        mov     %cs, %ax
        shl     $4, %eax
        lea     gdt(%eax), %ecx
        movw    $gdt_end - gdt - 1, GDT_DESC
        mov     %ecx, GDT_DESC + 2
        lgdtl   GDT_DESC
        pushl   $0x08
        add     $protected, %eax
        push    %eax
        mov     %cr0, %eax
        or      $1, %eax
        mov     %eax, %cr0
        lretl

        .code32
protected:
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %fs
        mov     %eax, %gs
        mov     %eax, %ss
        mov     $MAGIC, %eax
        mov     %ebp, %ebx
        xor     %ecx, %ecx
        xor     %edx, %edx
        xor     %edi, %edi
        xor     %ebp, %ebp
        jmp     *%esi

        .balign 8
gdt:
        .quad   0
        .quad   0x00cf9a000000ffff      /* 08: code, 4 GiB */
        .quad   0x00cf92000000ffff      /* 10: data */
gdt_end:

        .code16
        rom_functions
