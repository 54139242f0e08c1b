"""Nobody: what `audit.witness` names where there is no witness, so that its dependency in dvc.yaml is a file."""
