/* myna-nbd: images served to others. */
#ifndef SYSTEM_NBD_H
#define SYSTEM_NBD_H

int nbd_main(int argc, char **argv);

#endif
