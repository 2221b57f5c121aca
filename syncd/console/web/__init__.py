"""What other programs and browsers see of a running syncd: the status page, the control API, webhooks, metrics."""
