"""From heat-maps to keypoints, and from keypoints to scores."""
