/* Sense data: the conditions that units report, by name, and their fixed format (SPC-3, 4.5). */
#include "hw/scsi/scsi.h"

#include "util/bits.h"

enum {
    NO_SENSE = 0, NOT_READY = 2, MEDIUM_ERROR = 3, HARDWARE_ERROR = 4, ILLEGAL_REQUEST = 5, UNIT_ATTENTION = 6,
    DATA_PROTECT = 7, MISCOMPARE = 14,
};

const ScsiSense sense_none = { NO_SENSE, 0x00, 0x00 };
const ScsiSense sense_no_medium = { NOT_READY, 0x3a, 0x00 };
const ScsiSense sense_not_started = { NOT_READY, 0x04, 0x02 };
const ScsiSense sense_read_error = { MEDIUM_ERROR, 0x11, 0x00 };
const ScsiSense sense_write_error = { MEDIUM_ERROR, 0x0c, 0x00 };
const ScsiSense sense_target_failure = { HARDWARE_ERROR, 0x44, 0x00 };
const ScsiSense sense_invalid_opcode = { ILLEGAL_REQUEST, 0x20, 0x00 };
const ScsiSense sense_lba_range = { ILLEGAL_REQUEST, 0x21, 0x00 };
const ScsiSense sense_invalid_field = { ILLEGAL_REQUEST, 0x24, 0x00 };
const ScsiSense sense_invalid_lun = { ILLEGAL_REQUEST, 0x25, 0x00 };
const ScsiSense sense_parameter_length = { ILLEGAL_REQUEST, 0x1a, 0x00 };
const ScsiSense sense_parameter_value = { ILLEGAL_REQUEST, 0x26, 0x02 };
const ScsiSense sense_saving_unsupported = { ILLEGAL_REQUEST, 0x39, 0x00 };
const ScsiSense sense_removal_prevented = { ILLEGAL_REQUEST, 0x53, 0x02 };
const ScsiSense sense_medium_changed = { UNIT_ATTENTION, 0x28, 0x00 };
const ScsiSense sense_write_protected = { DATA_PROTECT, 0x27, 0x00 };
const ScsiSense sense_space_full = { DATA_PROTECT, 0x27, 0x07 };
const ScsiSense sense_miscompare = { MISCOMPARE, 0x1d, 0x00 };

unsigned scsi_request_sense(const ScsiRequest *r, uint8_t out[SCSI_SENSE_SIZE])
{
    memset(out, 0, SCSI_SENSE_SIZE);
    out[0] = 0x70 | (r->has_info && r->info <= UINT32_MAX ? 0x80 : 0);
    out[2] = r->sense.key;
    if (out[0] & 0x80) {
        store_be32(out + 3, r->info);
    }
    out[7] = SCSI_SENSE_SIZE - 8;
    out[12] = r->sense.asc;
    out[13] = r->sense.ascq;
    return SCSI_SENSE_SIZE;
}
