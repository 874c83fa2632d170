"""Semi-supervised semantic segmentation, for MMSegmentation's segmentors."""
