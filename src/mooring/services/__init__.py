"""What we do: one module a use case. Services load values, let core decide, and speak to the world through ports."""
