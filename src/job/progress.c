#include "job/progress.h"

const char *
ph_wait_name(enum ph_wait wait)
{
    switch (wait) {
    case PH_WAIT_NONE:
        return "";
    case PH_WAIT_SOURCE:
        return "source";
    case PH_WAIT_WIRE:
        return "wire";
    case PH_WAIT_PGHAUL:
        return "pghaul";
    case PH_WAIT_TARGET:
        return "target";
    case PH_WAIT_TARGET_DISK:
        return "target's disk";
    }
    return "";
}

const char *
ph_lane_state_name(enum ph_lane_state state)
{
    switch (state) {
    case PH_LANE_IDLE:
        return "idle";
    case PH_LANE_COPY:
        return "copy";
    case PH_LANE_COMMIT:
        return "commit";
    case PH_LANE_INDEX:
        return "index";
    case PH_LANE_VERIFY:
        return "verify";
    }
    return "";
}
