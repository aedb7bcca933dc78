"""What the order service's API takes and gives: request and response models, never rows, never facts."""
