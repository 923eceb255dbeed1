"""How to read what stands below a heading, the same words in all reports."""

LADDER = (
    "Each rung against a reference in float64: P0 the same model and inputs, P1 weights, P2 "
    "outputs, P3 loss and gradients, P4 one step, P5 a training, P6 predictions, P7 errors over "
    "seeds, P8 files of another backend. A floor is what rounding to float32 alone gives."
)
AGREEMENT = (
    "Differences of mean error in points, equivalent where two one-sided tests put them within "
    "0.20. McNemar's exact test asks of two trainings whether they err unequally often: for how "
    "many seeds it tells the two backends apart, and for how many of as many pairs of seeds the "
    "first backend from itself. Last, the share of answers that differ at the same seed."
)
RATIOS = (
    "A ratio above 1 says how many times as fast as the second the first of a pair is, from slots "
    "of the same rounds, without what a hypervisor took; the interval is that of its mean over "
    "launches. A twin is the same backend once more: its ratio shows what noise alone does. A pair "
    "is certified where both have passed the rungs P0 to P6 on that model; partly means that not "
    "all of them were asked."
)
VARIANTS = (
    "Within one backend: slots of the same rounds in the same process. Stock is Keras as shipped, "
    "tuned the same model with that backend's best settings, native a twin written without Keras; "
    "a setting on its own shows what it brings. Certified where both climbed the parity ladder."
)
TIME = (
    "Seconds of training, to the end of the first epoch after which the test error was no larger "
    "than published. Trainings that never got there count as longer than they lasted (the median "
    "of Kaplan and Meier)."
)
SPEEDS = (
    "Examples per second in the steady state: without the price of each call (ms/call), which an "
    "epoch pays once, and without what a hypervisor took. The peak is what a product of matrices "
    "in NumPy reached meanwhile."
)
