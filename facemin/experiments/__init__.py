"""Experiments: a file says what to measure, a run appends records, a report is made of the records alone."""

from facemin.experiments.experiment import Experiment, read_experiment
from facemin.experiments.faces import Place, find_data
from facemin.experiments.run import Outcome, Watch, run
from facemin.experiments.store.records import Record, read_records

__all__ = ["Experiment", "Outcome", "Place", "Record", "Watch", "find_data", "read_experiment", "read_records", "run"]
