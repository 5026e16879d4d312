/*
 * A multiboot kernel that writes what it was given to the debug port, then ends the machine.
 * With FLAT its header says where it goes, so that no ELF headers are needed.
 */
#ifdef FLAT
        .set    FLAGS, 3 | 1 << 16
#else
        .set    FLAGS, 3
#endif
        .set    DEBUG, 0xe9
        .set    EXIT, 0xf4

        .text
        .balign 4
header:
        .long   0x1badb002, FLAGS, -(0x1badb002 + FLAGS)
#ifdef FLAT
        .long   header, header, 0, stack_end, _start
#endif
        .globl  _start
_start:
        mov     $stack_end, %esp
        mov     %ebx, %ebp
        mov     $magic, %esi
        call    text
        call    number
        mov     $lower, %esi
        call    text
        mov     4(%ebp), %eax
        call    number
        mov     $upper, %esi
        call    text
        mov     8(%ebp), %eax
        call    number
        mov     $cmdline, %esi
        call    text
        mov     16(%ebp), %esi
        call    text

        mov     20(%ebp), %ecx          /* modules: text, address, contents */
        mov     24(%ebp), %ebx
next_module:
        jecxz   modules_done
        push    %ecx
        mov     $module, %esi
        call    text
        mov     (%ebx), %eax
        call    number
        mov     8(%ebx), %esi
        call    text
        mov     $is, %esi
        call    text
        mov     (%ebx), %esi
        mov     4(%ebx), %ecx
        sub     %esi, %ecx
        mov     $DEBUG, %edx
        rep outsb
        pop     %ecx
        add     $16, %ebx
        dec     %ecx
        jmp     next_module
modules_done:
        mov     48(%ebp), %ebx          /* memory map: base, length, type */
        mov     44(%ebp), %edi
        add     %ebx, %edi
next_range:
        cmp     %edi, %ebx
        jae     ranges_done
        mov     $range, %esi
        call    text
        mov     4(%ebx), %eax
        call    number
        mov     12(%ebx), %eax
        call    number
        mov     20(%ebx), %eax
        call    number
        add     (%ebx), %ebx
        add     $4, %ebx
        jmp     next_range
ranges_done:
        mov     $end, %esi
        call    text
        mov     $0, %al
        out     %al, $EXIT
halt:
        hlt
        jmp     halt

text:
        push    %eax
1:
        lodsb
        test    %al, %al
        jz      2f
        out     %al, $DEBUG
        jmp     1b
2:
        pop     %eax
        ret

number:                                 /* EAX in hexadecimal and a blank */
        push    %ecx
        mov     $8, %ecx
1:
        rol     $4, %eax
        push    %eax
        and     $15, %eax
        mov     digits(%eax), %al
        out     %al, $DEBUG
        pop     %eax
        loop    1b
        mov     $' ', %al
        out     %al, $DEBUG
        pop     %ecx
        ret

digits:  .ascii "0123456789abcdef"
magic:   .asciz "magic "
lower:   .asciz "\nlower "
upper:   .asciz "\nupper "
cmdline: .asciz "\ncmdline "
module:  .asciz "\nmodule "
is:      .asciz ": "
range:   .asciz "\nrange "
end:     .asciz "\nend\n"

        .bss
        .skip   4096
stack_end:
