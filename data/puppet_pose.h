/* puppet_pose.h: how the puppet holds itself in one frame. Positions are those of puppet.h. */
#ifndef DATA_PUPPET_POSE_H
#define DATA_PUPPET_POSE_H

struct puppet_pose { /* the truth of one frame */
    float mouth;     /* opening, 0 shut .. 1; the dark gap is mouth * PUPPET_GAP of the picture's height */
    float round;     /* lips, 0 wide .. 1 rounded */
    float head[2];   /* middle of the head */
    float nod;       /* 0 upright .. 1 chin down; already in the positions of head and lips */
    float lips[2];   /* middle of the mouth */
    float eyes[2];   /* middle between the eyes */
    float hand_left[2], hand_right[2];
    float blink;   /* 0 open .. 1 shut */
    float gaze[2]; /* -1..1 */
    float sway;    /* sideways shift of the torso */
    float tilt;    /* tilt of the head, radians */
    float turn;    /* -1..1: the head turned to the left..right; already in the positions of head, eyes and lips */
};
#define PUPPET_GAP 0.10f

#endif
