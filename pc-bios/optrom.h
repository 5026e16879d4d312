/*
 * What our boot ROMs share: the headers that make the BIOS offer them for booting, and reading
 * from fw_cfg by DMA (16-bit code; DS and SS are 0).
 *
 * A ROM defines `boot` and a product name; the BIOS comes to `boot` with DS and SS undefined.
 * scripts/option_rom.py fills in the ROM's size and the checksums.
 */
#define FW_CFG_DMA      0x514 /* two big-endian halves; the low one starts a transfer */
#define DMA_SELECT_READ 0x0a
#define DMA_ERROR       1

#define KERNEL_ADDR  0x07
#define KERNEL_SIZE  0x08
#define INITRD_ADDR  0x0a
#define INITRD_SIZE  0x0b
#define KERNEL_ENTRY 0x10
#define KERNEL_DATA  0x11
#define INITRD_DATA  0x12
#define CMDLINE_ADDR 0x13
#define CMDLINE_SIZE 0x14
#define CMDLINE_DATA 0x15
#define SETUP_ADDR   0x16
#define SETUP_SIZE   0x17
#define SETUP_DATA   0x18

/* Boot sectors own this memory: the stack grows down from here, our variables up. */
#define STACK    0x7c00
#define REQUEST  0x7c00 /* control, length, address: big-endian */
#define ANSWER   0x7c10
#define GDT_DESC 0x7c18

.macro rom_header product
        .code16
        .text
        .global _start
_start:
        .word   0xaa55
        .byte   0               /* size in units of 512 bytes */
        lret                    /* the BIOS calls this at its start: nothing to set up */
        .org    6
        .byte   0               /* checksum */
        .org    0x1a
        .word   pnp
        .balign 16
pnp:
        .ascii  "$PnP"
        .byte   1, 2            /* revision; length in units of 16 bytes */
        .word   0               /* no next header */
        .byte   0, 0            /* checksum */
        .long   0               /* device */
        .word   maker, name
        .byte   0, 0, 0         /* type */
        .byte   0xe4            /* may boot; code may be shadowed, and is read-only after */
        .word   0, 0, boot      /* vectors: connect, disconnect, bootstrap entry */
        .word   0, 0
maker:  .asciz  "Myna"
name:   .asciz  "\product"
        .balign 4
.endm

/* Reads item `data` to the address in item `addr`; its length is item `size`. */
.macro load addr, size, data
        mov     $\addr, %ax
        call    read_number
        mov     %eax, %edi
        mov     $\size, %ax
        call    read_number
        mov     %eax, %ecx
        mov     $\data, %ax
        call    read_item
.endm

.macro rom_functions
/* EAX = the number that item AX holds. */
read_number:
        push    %edi
        push    %ecx
        mov     $ANSWER, %edi
        mov     $4, %ecx
        call    read_item
        mov     ANSWER, %eax
        pop     %ecx
        pop     %edi
        ret

/* Reads ECX bytes of item AX to physical address EDI. */
read_item:
        jecxz   2f
        shl     $16, %eax
        or      $DMA_SELECT_READ, %eax
        bswap   %eax
        mov     %eax, REQUEST
        mov     %ecx, %eax
        bswap   %eax
        mov     %eax, REQUEST + 4
        movl    $0, REQUEST + 8
        mov     %edi, %eax
        bswap   %eax
        mov     %eax, REQUEST + 12
        mov     $FW_CFG_DMA, %dx
        xor     %eax, %eax
        out     %eax, %dx
        add     $4, %dx
        mov     $REQUEST, %eax
        bswap   %eax
        out     %eax, %dx
1:
        mov     REQUEST, %eax   /* 0 when it is done */
        bswap   %eax
        test    $~DMA_ERROR, %eax
        jnz     1b
        test    %eax, %eax
        jnz     failed
2:
        ret

/* The BIOS then tries what else there is to boot from. */
failed:
        mov     $failed_text, %si
1:
        cs lodsb
        test    %al, %al
        jz      2f
        mov     $0x0e, %ah
        mov     $7, %bx
        int     $0x10
        jmp     1b
2:
        int     $0x18
        hlt
        jmp     2b
failed_text:
        .asciz  "Cannot load the kernel\r\n"
.endm
