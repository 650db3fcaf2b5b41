# The agent of `make run`: it may read and write its own files, and run a few harmless commands.
{
  hyperhive.agent = {
    model = "haiku";
    prompt = ''
      You keep the hive's weekly report, the file report.txt in your working directory, and hand it out on request.
    '';
    bash.allow = [ "ls *" "cat *" "wc *" ];
  };
}
