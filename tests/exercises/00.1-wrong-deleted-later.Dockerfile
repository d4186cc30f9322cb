# hint: Each instruction creates its own layer
FROM busybox:latest
RUN head -c 5000000 /dev/zero > /zeros
RUN rm /zeros
COPY message.txt /message.txt
CMD ["cat", "/message.txt"]
