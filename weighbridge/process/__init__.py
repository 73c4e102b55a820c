"""What both programs do as processes of a machine: settings, files, the service manager. Nothing here judges."""
