"""The one door to the outside: sign-in, keys, recipients, routing. It owns personal data, no business."""
