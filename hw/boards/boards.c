/* The list of machine types. */
#include "core/machine.h"

#define BOARD(name) extern const BoardType name##_board;
#include "boards.def"
#undef BOARD

const BoardType *const board_types[] = {
#define BOARD(name) &name##_board,
#include "boards.def"
#undef BOARD
    NULL,
};
