/* schedule.h: noise levels of flow matching, all in double (bf16 or float levels spoil the few-step student).
   sigma in [0, 1] is the share of noise: x = (1 - sigma) x0 + sigma eps; the network's timestep is t = 1000 sigma and
   its output the velocity v = eps - x0. A shift k > 1 moves levels towards noise:
   sigma = k u / (1 + (k - 1) u) (Esser et al. 2024). */
#ifndef BASE_SCHEDULE_H
#define BASE_SCHEDULE_H

static inline double schedule_shift(double u, double shift) { return shift * u / (1 + (shift - 1) * u); }
static inline double schedule_timestep(double sigma) { return 1000 * sigma; }

/* The levels of a sampler and the timesteps that its network is given: sigma[steps + 1]
   from the noisiest to 0, timestep[steps].
     linear     sigma_i = shift(1 - i/steps), t = 1000 sigma
     wan        sigma_i = shift(0.999 (1 - i/steps)), t = 1000 sigma without its fraction: the original Wan's, and
                Diffusers' before 0.37
     diffusers  sigma_i = shift(1 - 0.999 i/steps), sigma_0 = 1 - 1e-6; t alike: Diffusers' from 0.37 on
   The last two round sigma to float, as those programs do. ERR_USAGE for a shift below 1 or no steps. */
enum schedule_kind { SCHEDULE_LINEAR, SCHEDULE_WAN, SCHEDULE_DIFFUSERS };
int schedule_sampler(enum schedule_kind kind, int steps, double shift, double *sigma, double *timestep);
/* A noise level for training: u, uniform in [0, 1), is shifted and kept within [low, high]. */
double schedule_level(double u, double shift, double low, double high);

#endif
