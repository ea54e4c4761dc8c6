"""Human pose: people, crops, heat-maps, keypoints and their scores."""
