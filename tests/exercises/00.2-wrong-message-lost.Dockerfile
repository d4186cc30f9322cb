# hint: do when it runs
FROM busybox:latest
RUN head -c 5000000 /dev/urandom > /random
CMD ["true"]
