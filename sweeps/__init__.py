"""Many runs: Optuna studies over alpha schedules."""
