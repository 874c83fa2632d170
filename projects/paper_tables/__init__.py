"""Tables 6 to 11 and Figure 3 of the paper, from trainings and checkpoints of ours."""
