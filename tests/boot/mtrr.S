# A firmware that reads and writes memory type range registers and the page attribute table: what they are after a reset, what they
# keep, what they refuse (SDM volume 3, 12.11 and 12.12). On a processor that has neither all of them have to be missing.
# It leaves through isa-debug-exit (port 0x501) with 0x10, or with the number of what failed.
#
# Memory: 0x1000 IDT, 0x7000 stack, 0x10000 page tables, 0x500 what handlers leave.

        .set    DIRECTORY, 0x10000
        .set    TABLE, 0x11000
        .set    CAP, 0xfe
        .set    BASE0, 0x200
        .set    MASK0, 0x201
        .set    FIX64, 0x250
        .set    PAT, 0x277
        .set    DEFAULT, 0x2ff

        .include "checks.inc"

        .macro  refuses number, text:vararg
        faults  \number, 13, 0, \text
        .endm

        .macro  is number, msr, low, high=0
        mov     $\number, %bl
        get_msr \msr
        cmp     $\low, %eax
        jne     fail
        cmp     $\high, %edx
        jne     fail
        .endm

        .code16
        .text
        .globl  start
start:  cli
        protected_mode
        stub_gates 0x20
        lidtl   idt_pointer + 0xf0000
        mov     $1, %eax
        cpuid
        mov     %edx, %ebp
        test    $1 << 16, %ebp
        jz      no_pat

        is      1, PAT, 0x00070406, 0x00070406
        set_msr PAT, 0x06070401, 0x00010405
        is      2, PAT, 0x06070401, 0x00010405
        refuses 3, set_msr PAT, 0x00070402, 0x00070406
        refuses 4, set_msr PAT, 0x00070306, 0x00070406
        refuses 5, set_msr PAT, 0x00080406, 0x00070406
        refuses 6, set_msr PAT, 0x00070406, 0x02070406
        refuses 7, set_msr PAT, 0x00070406, 0x80070406
        refuses 8, set_msr PAT, 0x00070406, 0x00070416
        is      9, PAT, 0x06070401, 0x00010405
        jmp     ranges
no_pat: refuses 11, get_msr PAT
        refuses 12, set_msr PAT, 0x00070406, 0x00070406

ranges: test    $1 << 12, %ebp
        jz      none
        is      17, CAP, 0x508
        refuses 18, set_msr CAP, 0x508
        is      19, DEFAULT, 0
        set_msr DEFAULT, 0xc06
        is      20, DEFAULT, 0xc06
        refuses 21, set_msr DEFAULT, 0xc02
        refuses 22, set_msr DEFAULT, 0xc03
        refuses 23, set_msr DEFAULT, 0xc07
        refuses 24, set_msr DEFAULT, 0xc16
        refuses 25, set_msr DEFAULT, 0xd06
        refuses 26, set_msr DEFAULT, 0x1c06
        refuses 27, set_msr DEFAULT, 0xc06, 1
        is      28, DEFAULT, 0xc06

# Fixed ranges: each register is its own.
        mov     $fixed + 0xf0000, %esi
1:      lodsl
        mov     %eax, %ecx
        jecxz   2f
        mov     $0x06050401, %eax
        mov     $0x00010406, %edx
        wrmsr
        jmp     1b
2:      mov     $fixed + 0xf0000, %esi
        mov     $29, %bl
1:      lodsl
        mov     %eax, %ecx
        jecxz   2f
        rdmsr
        cmp     $0x06050401, %eax
        jne     fail
        cmp     $0x00010406, %edx
        jne     fail
        jmp     1b
2:      set_msr FIX64, 0x06060606, 0x06060606
        is      30, 0x258, 0x06050401, 0x00010406
        refuses 31, set_msr FIX64, 0x06060602, 0x06060606
        refuses 32, set_msr 0x258, 0x06060606, 0x07060606
        refuses 33, set_msr 0x26f, 0x06060606, 0x06060306
        refuses 34, set_msr 0x268, 0x0e060606, 0x06060606
        refuses 35, get_msr 0x251
        refuses 36, get_msr 0x25a
        refuses 37, get_msr 0x270

# Variable ranges.
        mov     $BASE0, %ecx
        xor     %edx, %edx
        mov     $38, %bl
1:      rdmsr
        or      %edx, %eax
        jnz     fail
        mov     %ecx, %eax              # base n: 1 MiB * msr, write-back; mask: so much of 64 GiB
        shl     $20, %eax
        mov     $6, %al
        mov     $0xf, %edx
        test    $1, %cl
        jz      2f
        and     $0xfffff000, %eax
        or      $0x800, %eax
2:      wrmsr
        inc     %ecx
        cmp     $BASE0 + 16, %ecx
        jb      1b
        is      39, BASE0 + 6, 0x20600006, 0xf
        is      40, MASK0 + 6, 0x20700800, 0xf
        is      41, MASK0 + 14, 0x20f00800, 0xf
        refuses 42, get_msr BASE0 + 16
        refuses 43, set_msr BASE0, 2
        refuses 44, set_msr BASE0, 0x16
        refuses 45, set_msr BASE0, 0x106
        refuses 46, set_msr BASE0, 0x806
        refuses 47, set_msr BASE0, 6, 0x80000000
        refuses 48, set_msr MASK0, 1
        refuses 49, set_msr MASK0, 0xc00
        refuses 50, set_msr MASK0, 0x800, 0x80000000
        is      51, BASE0, 0x20000006, 0xf

# Memory is memory whatever its type; the attributes of pages are no reserved bits.
        set_msr BASE0, 0
        set_msr MASK0, 0xff000800, 0xf
        movl    $0x12345678, 0x20000
        mov     $52, %bl
        cmpl    $0x12345678, 0x20000
        jne     fail
        test    $1 << 16, %ebp
        jz      caches
        mov     $DIRECTORY, %edi
        mov     $0x800, %ecx
        xor     %eax, %eax
        rep stosl
        movl    $TABLE + 3, DIRECTORY
        movl    $0x1083, DIRECTORY + 4  # 4 MiB at 0, with PAT
        mov     $TABLE, %edi
        mov     $0x9b, %eax             # PWT, PCD and PAT
1:      mov     %eax, (%edi)
        add     $4, %edi
        add     $0x1000, %eax
        cmp     $TABLE + 0x1000, %edi
        jb      1b
        mov     %cr4, %eax
        or      $0x10, %eax
        mov     %eax, %cr4
        mov     $DIRECTORY, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        mov     $53, %bl
        cmpl    $0x12345678, 0x20000
        jne     fail
        mov     $54, %bl
        cmpl    $0x12345678, 0x420000
        jne     fail
        incl    0x420000
        mov     $55, %bl
        cmpl    $0x12345679, 0x20000
        jne     fail

caches: mov     %cr0, %eax
        mov     %eax, %esi
        and     $~0x60000000, %esi
        lea     0x20000000(%esi), %eax
        refuses 56, mov %eax, %cr0      # NW without CD
        mov     %esi, %eax
        or      $0x60000000, %eax
        mov     %eax, %cr0
        wbinvd
        mov     $57, %bl
        mov     %cr0, %edx
        xor     %edx, %eax
        and     $0x60000000, %eax
        jnz     fail
        mov     %esi, %cr0
        jmp     good

none:   refuses 64, get_msr CAP
        refuses 65, get_msr DEFAULT
        refuses 66, set_msr DEFAULT, 0
        refuses 67, get_msr BASE0
        refuses 68, set_msr MASK0, 0
        refuses 69, get_msr FIX64
        refuses 70, get_msr 0x26f
good:   verdict

        .balign 4
fixed:  .long   0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f, 0

        .set    common, fault
        stubs   0x20
        fault_routine
        gate_routine
        tables
