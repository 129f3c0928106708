"""The panels of the boards, one file for each question they answer. Every public function gives a line of panels."""
