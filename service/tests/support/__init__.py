"""What the service's tests share: values, fakes of the ports to the outside, and databases."""
