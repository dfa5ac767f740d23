/* oracle.h: the contract of kernels.h once more, in double and under ref_ names: ref_layernorm_forward and so on, with
   struct ref_attention_range. The functions are kernels/ref/ compiled with -DORACLE; tests hold every backend against
   them. Include after kernels.h. */
#ifndef KERNELS_ORACLE_H
#define KERNELS_ORACLE_H

#include "kernels/kernels.h"
#undef KERNELS_KERNELS_H
#define KERNELS_ORACLE_PASS
#define elem  double
#define resid double
#define real  double
#include "oracle_names.h"
#include "kernels/kernels.h"
#include "oracle_names_undef.h"
#undef elem
#undef resid
#undef real
#undef KERNELS_ORACLE_PASS

#endif
