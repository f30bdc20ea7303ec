# fish completion for roost
set -l commands run check call emit reload status exec test bench new version

complete -c roost -n "not __fish_seen_subcommand_from $commands" -f
complete -c roost -n "not __fish_seen_subcommand_from $commands" -a run -d 'start a host'
complete -c roost -n "not __fish_seen_subcommand_from $commands" -a check -d 'say what is wrong with a configuration'
complete -c roost -n "not __fish_seen_subcommand_from $commands" -a call -d 'send a request and print the replies'
complete -c roost -n "not __fish_seen_subcommand_from $commands" -a emit -d 'send an event'
complete -c roost -n "not __fish_seen_subcommand_from $commands" -a reload -d 'have a running host reload services'
complete -c roost -n "not __fish_seen_subcommand_from $commands" -a status -d 'show a running host'
complete -c roost -n "not __fish_seen_subcommand_from $commands" -a exec -d 'run a Lua program'
complete -c roost -n "not __fish_seen_subcommand_from $commands" -a test -d 'run specs'
complete -c roost -n "not __fish_seen_subcommand_from $commands" -a bench -d 'make load'
complete -c roost -n "not __fish_seen_subcommand_from $commands" -a new -d 'write a new service'
complete -c roost -n "not __fish_seen_subcommand_from $commands" -a version -d 'versions of everything'
complete -c roost -l help -d 'what a command does'
complete -c roost -n "__fish_seen_subcommand_from run check test" -s C -r -d 'work in this folder'
complete -c roost -n "__fish_seen_subcommand_from run check" -l set -x -d 'KEY=VALUE'
complete -c roost -n "__fish_seen_subcommand_from check" -l start -d 'run on_start, too'
complete -c roost -n "__fish_seen_subcommand_from reload status" -l socket -r -d 'admin socket'
complete -c roost -n "__fish_seen_subcommand_from status bench" -l json -d 'as JSON'
complete -c roost -n "__fish_seen_subcommand_from call emit" -l url -x -a 'tcp:// tls:// nats:// redis:// mqtt:// amqp:// kafka://'
complete -c roost -n "__fish_seen_subcommand_from bench" -l url -x -a 'tcp:// tls://'
complete -c roost -n "__fish_seen_subcommand_from call emit bench" -l client -x -d 'a client of the configuration'
complete -c roost -n "__fish_seen_subcommand_from call emit bench" -l timeout -x -d milliseconds
complete -c roost -n "__fish_seen_subcommand_from call emit" -l meta -x -d 'KEY=VALUE'
complete -c roost -n "__fish_seen_subcommand_from call emit bench" -l tls-ca -r
complete -c roost -n "__fish_seen_subcommand_from call emit bench" -l tls-cert -r
complete -c roost -n "__fish_seen_subcommand_from call emit bench" -l tls-key -r
complete -c roost -n "__fish_seen_subcommand_from call emit bench" -l tls-name -x
complete -c roost -n "__fish_seen_subcommand_from call emit bench" -l insecure
complete -c roost -n "__fish_seen_subcommand_from bench" -s c -x -d connections
complete -c roost -n "__fish_seen_subcommand_from bench" -s p -x -d 'requests at once'
complete -c roost -n "__fish_seen_subcommand_from bench" -s d -x -d seconds
complete -c roost -n "__fish_seen_subcommand_from bench" -l rate -x -d 'requests per second'
complete -c roost -n "__fish_seen_subcommand_from bench" -l warmup -x -d 'seconds before it counts'
complete -c roost -n "__fish_seen_subcommand_from bench" -l expect -x -d 'JSON: the value every reply must have'
complete -c roost -n "__fish_seen_subcommand_from bench" -l any -d 'every value will do'
