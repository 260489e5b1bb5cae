/* Which of the two servers. */
#ifndef PH_MODEL_SIDE_H
#define PH_MODEL_SIDE_H

enum ph_side { PH_SOURCE, PH_TARGET };

#endif
