"""Checkpoints with a checksum that is verified on restore."""

from jaxgan.checkpoint.manager import check_path as check_path
from jaxgan.checkpoint.manager import newest_step as newest_step
from jaxgan.checkpoint.manager import open_manager as open_manager
from jaxgan.checkpoint.manager import restore as restore
from jaxgan.checkpoint.manager import restore_plain as restore_plain
from jaxgan.checkpoint.manager import save as save
from jaxgan.checkpoint.manager import set_aside as set_aside
from jaxgan.checkpoint.manager import steps_of as steps_of
from jaxgan.checkpoint.record import read_record as read_record
from jaxgan.checkpoint.record import set_score as set_score
from jaxgan.checkpoint.tree import digest as digest
from jaxgan.tree import by_path as by_path
