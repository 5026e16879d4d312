# A firmware that rewrites immediates and displacements of its instructions, again and again, and looks what they do then. It leaves
# through isa-debug-exit (port 0x501) with 0x10, or with the number of the check that failed.
#
# Memory: 0x1000 IDT, 0x7000 stack, 0x8000 the instructions, 0x20000 64 KiB of words that hold their own addresses,
# 0x40000 page directory.

        .set    PIECES, 0x8000
        .set    WORDS, 0x20000
        .set    ROUNDS, 200
        .set    DIRECTORY, 0x40000      # of pages of 4 MiB
        .set    TOP, 0x400000

        .include "checks.inc"

        # An instruction is made one that reads the carry of what is in front of it: SETC in the place of \reader's three bytes.
        .macro  reads_carry at, reader, number
        movw    $0x920f, PIECES + \reader - pieces # setc %al
        movb    $0xc0, PIECES + \reader - pieces + 2
        xor     %eax, %eax
        mov     $-1, %ecx
        call    *\at + 0xf0000
        mov     $\number, %bl
        cmp     $1, %eax
        jne     fail
        mov     $1, %ecx
        call    *\at + 0xf0000
        mov     $\number + 1, %bl
        test    %eax, %eax
        jnz     fail
        .endm

        # An instruction that ends with an immediate or displacement of `size` bytes, and leaves it, sign-extended, in ECX.
        .macro  form number, size, before, text:vararg
        .subsection 1
1:      mov     $\before, %ecx
        mov     %ecx, %edx
        \text
2:      ret
        .subsection 0
        mov     $\number, %bl
        mov     $PIECES + 1b - pieces, %esi
        mov     $PIECES + 2b - pieces - \size, %edi
        mov     $\size, %ebp
        call    try
        .endm

        # The same with an address of a word, which it leaves in ECX.
        .macro  load number, size, text:vararg
        .subsection 1
1:      xor     %edx, %edx
        \text
2:      ret
        .subsection 0
        mov     $\number, %bl
        mov     $PIECES + 1b - pieces, %esi
        mov     $PIECES + 2b - pieces - \size, %edi
        mov     $4, %ebp
        call    try_address
        .endm

        .code16
        .text   1
        .code32
pieces:
        .text   0
        .code16
        .globl  start
start:  cli
        protected_mode
        all_gates fail
        lidtl   idt_pointer + 0xf0000
        mov     $pieces + 0xf0000, %esi
        mov     $PIECES, %edi
        mov     $pieces_end - pieces, %ecx
        rep movsb
        mov     $WORDS, %edi
1:      mov     %edi, (%edi)
        add     $4, %edi
        cmp     $WORDS + 0x10000, %edi
        jne     1b

        form    1, 4, 0, add $0x11223344, %ecx
        form    2, 4, 0, or $0x11223344, %ecx
        form    3, 4, -1, and $0x11223344, %ecx
        form    4, 4, 0, xor $0x11223344, %ecx
        form    5, 4, 5, mov $0x11223344, %ecx
        form    6, 4, 1, imul $0x11223344, %ecx, %ecx
        form    7, 4, 0, lea 0x11223344(%edx), %ecx
        form    8, 4, 0, lea 0x11223344, %ecx
        form    9, 4, 0, lea 0x11223344(%edx, %edx, 4), %ecx
        form    10, 1, 0, add $0x11, %ecx
        form    11, 1, 0, or $0x11, %ecx
        form    12, 1, -1, and $0x11, %ecx
        form    13, 1, 1, imul $0x11, %ecx, %ecx
        form    14, 1, 0, lea 0x11(%edx), %ecx
        load    20, 4, mov WORDS + 0x100(%edx), %ecx
        load    21, 4, mov WORDS + 0x100, %ecx
        load    22, 4, mov WORDS + 0x100(, %edx, 2), %ecx

        # In the same block as the store: each instruction is as it has just been made.
        mov     $30, %bl
        mov     $ROUNDS, %edi
1:      call    *own_at + 0xf0000
        cmp     %edi, %ecx
        jne     fail
        dec     %edi
        jnz     1b

        # Two fields of one instruction, and the opcode at last.
        mov     $40, %bl
        mov     $ROUNDS, %edi
1:      lea     WORDS(, %edi, 4), %eax
        mov     %eax, PIECES + both - pieces + 2
        mov     %edi, PIECES + both - pieces + 6
        call    *both_at + 0xf0000
        cmp     %edi, (%eax)
        jne     fail
        mov     %eax, (%eax)
        dec     %edi
        jnz     1b
        mov     $41, %bl
        movb    $0x81, PIECES + both - pieces  # add for mov
        call    *both_at + 0xf0000
        cmpl    $WORDS + 4 + 1, WORDS + 4
        jne     fail

        # A byte of an immediate.
        mov     $50, %bl
        mov     $ROUNDS, %edi
1:      mov     %edi, %eax
        mov     %al, PIECES + byte - pieces + 2
        call    *byte_at + 0xf0000
        movzbl  %al, %eax
        shl     $8, %eax
        add     $0x7f000001, %eax
        cmp     %eax, %ecx
        jne     fail
        dec     %edi
        jnz     1b

        # Conditions follow a comparison's immediate.
        mov     $60, %bl
        mov     $ROUNDS, %edi
1:      mov     %edi, PIECES + compare - pieces + 2
        mov     %edi, %ecx
        call    *compare_at + 0xf0000
        jne     fail
        lea     -1(%edi), %ecx
        call    *compare_at + 0xf0000
        jae     fail
        dec     %edi
        jnz     1b

        # An instruction that overwrote another block's flags reads them now.
        mov     $70, %bl
        mov     $ROUNDS, %edi
1:      mov     $-1, %ecx
        mov     $1, %edx
        call    *ahead_at + 0xf0000
        mov     $1, %ecx
        call    *ahead_at + 0xf0000
        dec     %edi
        jnz     1b
        reads_carry ahead_at, reader, 71

        # The same behind more places that were looked at than a block has room to note.
        mov     $73, %bl
        fninit
        mov     $ROUNDS, %edi
1:      mov     $-1, %ecx
        call    *crowd_at + 0xf0000
        mov     $1, %ecx
        call    *crowd_at + 0xf0000
        dec     %edi
        jnz     1b
        reads_carry crowd_at, crowd_reader, 74

        # One that is changed by what defines the flags which it reads then.
        mov     $76, %bl
        xor     %eax, %eax
        call    *self_at + 0xf0000
        cmp     $1, %eax
        jne     fail

        # The last byte there is, in a block that goes on at 0: linear addresses from 0xffc00000 on are memory's first 4 MiB.
        mov     $77, %bl
        movl    $0x4001c183, TOP - 4 # add $1, %ecx; inc %eax
        movb    $0xc3, 0                # ret
        movl    $0x83, DIRECTORY
        movl    $0x83, DIRECTORY + 4 * 1023
        mov     %cr4, %eax
        or      $0x10, %eax             # PSE
        mov     %eax, %cr4
        mov     $DIRECTORY, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        xor     %eax, %eax
        mov     $-4, %edx
        call    *%edx
        cmp     $1, %eax
        jne     fail
        movb    $0x48, TOP - 1          # dec %eax
        call    *%edx
        test    %eax, %eax
        jnz     fail

        # An instruction that begins there and ends at 0.
        mov     $78, %bl
        movb    $0xb0, TOP - 1          # mov $0x11, %al
        movl    $0xc311, 0
        mov     $-1, %edx
        call    *%edx
        cmp     $0x11, %eax
        jne     fail
        movb    $0x22, 0
        call    *%edx
        cmp     $0x22, %eax
        jne     fail

        verdict

# EBP bytes at EDI, rewritten, are to come out of the routine at ESI.
try:    mov     $ROUNDS, %eax
1:      push    %eax
        imul    $0x9e3779b1, %eax
        call    store
        push    %eax
        call    *%esi
        pop     %eax
        cmp     $1, %ebp
        jne     2f
        movsbl  %al, %eax
2:      cmp     %eax, %ecx
        jne     fail
        pop     %eax
        dec     %eax
        jnz     1b
        ret

try_address:
        mov     $ROUNDS, %eax
1:      push    %eax
        imul    $0x9e3779b1, %eax
        and     $0xfffc, %eax
        add     $WORDS, %eax
        mov     %eax, (%edi)
        push    %eax
        call    *%esi
        pop     %eax
        cmp     %eax, %ecx
        jne     fail
        pop     %eax
        dec     %eax
        jnz     1b
        ret

store:  cmp     $1, %ebp
        je      1f
        mov     %eax, (%edi)
        ret
1:      mov     %al, (%edi)
        ret

        gate_routine
        .balign 4
own_at: .long   PIECES + own - pieces
both_at:
        .long   PIECES + both - pieces
byte_at:
        .long   PIECES + byte - pieces
compare_at:
        .long   PIECES + compare - pieces
ahead_at:
        .long   PIECES + ahead - pieces
self_at:
        .long   PIECES + self - pieces
crowd_at:
        .long   PIECES + crowd - pieces
        tables

        .subsection 1
own:    mov     %edi, PIECES + 1f - pieces - 4
        mov     $0x11223344, %ecx
1:      ret
both:   movl    $0x11223344, WORDS
        ret
byte:   mov     $0x7f000001, %ecx
        ret
compare:
        cmp     $0x11223344, %ecx
        ret
ahead:  add     %edx, %ecx
        jmp     reader
        .skip   64
reader: add     $0, %eax
        ret

        # On another page, which is not rewritten all the time.
        .skip   4096
self:   cmp     %edx, %edx
        subl    $0xc300c083 - 0xc3c0920f & 0xffffffff, PIECES + 1f - pieces # borrows
1:      add     $0, %eax
        ret

        # No jump is taken.
crowd:  cmp     %edx, %edx
        jne     1f
        jb      2f
        jo      2f
        add     %edx, %ecx
        js      2f # a block has no more exits
        .rept   20
        fadds   WORDS
        .endr
crowd_reader:
        add     $0, %eax
        ret
        .irp    label, 1, 2
\label:
        .rept   7
        mov     $1, %eax
        .endr
        add     $0, %eax
        ret
        .endr
pieces_end:
