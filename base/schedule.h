/* schedule.h: noise levels of flow matching, all in double (bf16 or float levels spoil the few-step student).
   sigma in [0, 1] is the share of noise: x = (1 - sigma) x0 + sigma eps; the network's timestep is t = 1000 sigma and its
   output the velocity v = eps - x0. A shift k > 1 moves levels towards noise: sigma = k u / (1 + (k - 1) u), Esser et al.
   2024. Step lists are nominal timesteps warped by the shift, as Self-Forcing does. */
#ifndef BASE_SCHEDULE_H
#define BASE_SCHEDULE_H

static inline double schedule_shift(double u, double shift) { return shift * u / (1 + (shift - 1) * u); }
static inline double schedule_unshift(double sigma, double shift) { return sigma / (shift - (shift - 1) * sigma); }
static inline double schedule_timestep(double sigma) { return 1000 * sigma; }

/* Conversions, for one element: x noisy at sigma. */
static inline double schedule_noisy(double x0, double eps, double sigma) { return (1 - sigma) * x0 + sigma * eps; }
static inline double schedule_x0(double x, double v, double sigma) { return x - sigma * v; }
static inline double schedule_eps(double x, double v, double sigma) { return x + (1 - sigma) * v; }
static inline double schedule_velocity(double x, double x0, double sigma) { return (x - x0) / sigma; }

/* The few-step student: nominal timesteps (1000, 667, 333) in descending order within (0, 1000] -> sigma[count].
   ERR_USAGE when they are not, or when shift is below 1. */
int schedule_steps(const double *nominal, int count, double shift, double *sigma);
/* Euler sampler: sigma[0] = 1 > ... > sigma[steps] = 0; sigma[i] = shift(1 - i / steps). The step from i is
   x += v (sigma[i + 1] - sigma[i]). ERR_USAGE as above. */
int schedule_euler(int steps, double shift, double *sigma);
/* The levels of a sampler and the timesteps that its network is given: sigma[steps + 1] from the noisiest to 0,
   timestep[steps].
     linear     as schedule_euler; t = 1000 sigma
     wan        sigma_i = shift(0.999 (1 - i/steps)), t = 1000 sigma without its fraction: the original Wan's, and Diffusers'
                before 0.37
     diffusers  sigma_i = shift(1 - 0.999 i/steps), sigma_0 = 1 - 1e-6; t alike: Diffusers' from 0.37 on
   The latter two keep sigma to float, as they do. */
enum schedule_kind { SCHEDULE_LINEAR, SCHEDULE_WAN, SCHEDULE_DIFFUSERS };
int schedule_sampler(enum schedule_kind kind, int steps, double shift, double *sigma, double *timestep);
/* A level for training: u uniform in [0, 1), shifted, kept within [low, high]. */
double schedule_level(double u, double shift, double low, double high);

#endif
