"""Cuts the power of one mounted ext4 file system: python3 cut_power.py MOUNT_POINT

What is not on the disk yet, journal included, is lost, as when a machine loses power; the file
system answers every later call with an I/O error until it is mounted anew.
"""
import fcntl
import os
import struct
import sys

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NO_LOG_FLUSH = 2

mount_point = sys.argv[1]
if not os.path.ismount(mount_point):
    sys.exit(f"{mount_point} is no mount point; nothing was cut")
folder = os.open(mount_point, os.O_RDONLY | os.O_DIRECTORY)
fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, struct.pack("=I", NO_LOG_FLUSH))
