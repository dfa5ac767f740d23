/* solver.h: one step along the flow's ODE, as weights of states and predictions. Pure functions, in double. sigma falls
   from sigma[0] to sigma[steps] = 0; v = eps - x0; the prediction of step i is m_i = x_i - sigma_i v. UniPC (Zhao et
   al. 2023) of order 2 with B(h) = e^h - 1, predicting x0, on lambda = ln((1 - sigma) / sigma): step i first corrects
   x_i, whose prediction m_i is now known, starting again from the state that step i - 1 started from, and then predicts
   x_{i+1}. The first and the last step are of order 1. sigma[0] may be 1, where the formulas take their limits. */
#ifndef MODEL_DIT_SOLVER_H
#define MODEL_DIT_SOLVER_H

/* x_i corrected = start s_{i-1} + m0 m_i + m1 m_{i-1} + m2 m_{i-2}, s_{i-1} the corrected state of the step before. */
struct solver_corrector {
    double start, m0, m1, m2;
};
/* x_{i+1} = x s_i + m0 m_i + m1 m_{i-1}, s_i the corrected x_i. */
struct solver_predictor {
    double x, m0, m1;
};
/* Weights of step i, 0 <= i < steps; the corrector needs i >= 1. */
struct solver_corrector solver_unipc_corrector(const double *sigma, int steps, int i);
struct solver_predictor solver_unipc_predictor(const double *sigma, int steps, int i);

#endif
