"""What the configs of the authors' repository, github.com/microsoft/SoftTeacher, mean here."""
