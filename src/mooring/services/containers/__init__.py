"""Docker's containers: the fixed addresses that they ask for, and following what the engine tells of them."""
