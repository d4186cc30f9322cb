# hint: has to write them
FROM busybox:latest AS made
RUN head -c 5000000 /dev/urandom > /random
FROM busybox:latest
COPY message.txt /message.txt
CMD ["cat", "/message.txt"]
